"""Shuffle sharding: stable, within the tenant's partitions, rarely shared whole."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from weir_common.ids import SubjectId, TenantId
from weir_common.kafka.partitioner import TENANT_PARTITIONS, event_key, partition_of, tenant_partitions
from weir_common.kafka.topics import EVENT_PARTITIONS

names = st.text(min_size=1, max_size=40)


@given(names)
def test_a_tenant_has_k_different_partitions(tenant: str) -> None:
    chosen = tenant_partitions(TenantId(tenant))
    assert len(set(chosen)) == TENANT_PARTITIONS
    assert all(0 <= partition < EVENT_PARTITIONS for partition in chosen)


@given(names, names)
def test_a_subject_stays_on_one_of_them(tenant: str, subject: str) -> None:
    first = partition_of(TenantId(tenant), SubjectId(subject))
    assert first in tenant_partitions(TenantId(tenant))
    assert first == partition_of(TenantId(tenant), SubjectId(subject))


def test_the_placement_never_changes_with_a_release() -> None:
    # These are on the log for a week: another answer would break the order of every subject.
    assert tenant_partitions(TenantId("merchant_12345")) == tenant_partitions(TenantId("merchant_12345"))
    assert event_key(TenantId("a"), SubjectId("b")) == b"a\x00b"


def test_two_tenants_rarely_share_all_partitions() -> None:
    tenants = [tenant_partitions(TenantId(f"tenant-{number}")) for number in range(120)]
    same = sum(one == other for one, other in combinations(tenants, 2))
    # 1 pair in C(12, 4) = 495 is expected: 14 of 7,140.
    assert same < 30
