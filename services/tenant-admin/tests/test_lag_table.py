"""What the consumers report becomes a tenant's load: by consumer, fresh or not at all."""

from __future__ import annotations

import pytest
from weir_common.ids import TenantId
from weir_common.kafka.partitioner import tenant_partitions
from weir_common.kafka.topics import DECISIONS, EVENTS
from weir_common.ops import ConsumerProgress, TenantProgress
from weir_common.settings import KafkaSettings
from weir_tenant_admin.domain.scaling import required
from weir_tenant_admin.lag_table import FORGET_SECONDS, LagTable

ACME = TenantId("acme")
NOW = 1_000_000.0


@pytest.fixture
def table() -> LagTable:
    return LagTable(KafkaSettings(bootstrap_servers="nowhere:1"))


def report(
    table: LagTable,
    partition: int,
    *,
    at: float = NOW,
    consumer: str = "score",
    backlog: int = 0,
    topic: str = EVENTS,
    tenants: dict[str, TenantProgress] | None = None,
) -> None:
    table.take(
        ConsumerProgress(
            service="fraud",
            consumer=consumer,
            instance="one",
            topic=topic,
            partition=partition,
            position=100,
            end_offset=100 + backlog,
            reported_at_ms=int(at * 1000),
            position_timestamp_ms=int((at - 7) * 1000) if backlog else None,
            tenants=tenants or {},
        )
    )


def report_all(table: LagTable, *, at: float = NOW, consumer: str = "score", backlog: int = 0) -> None:
    for partition in tenant_partitions(ACME):
        report(table, partition, at=at, consumer=consumer, backlog=backlog)


def test_nothing_is_known_before_every_partition_has_reported(table: LagTable) -> None:
    assert table.measure("fraud", ACME, NOW).rate is None
    for partition in tenant_partitions(ACME)[:-1]:
        report(table, partition)
    measured = table.measure("fraud", ACME, NOW)
    assert measured.rate is measured.backlog is None
    assert measured.source == "3 of 4 partitions reported within 15 s by each of their consumers (3 ever)"
    assert required(measured) is None


def test_an_old_report_is_none(table: LagTable) -> None:
    report_all(table)
    assert required(table.measure("fraud", ACME, NOW + 14)) == 0
    assert required(table.measure("fraud", ACME, NOW + 16)) is None


def test_rate_and_cost_are_the_tenants_own_of_the_last_minute(table: LagTable) -> None:
    first = tenant_partitions(ACME)[0]
    report(table, first, at=NOW - 70, tenants={"acme": TenantProgress(9_999, busy_seconds=99)})
    report(
        table, first, at=NOW - 30, tenants={"acme": TenantProgress(600, busy_seconds=6), "globex": TenantProgress(5)}
    )
    report_all(table, backlog=150)
    measured = table.measure("fraud", ACME, NOW)
    assert (measured.rate, measured.seconds_per_event) == (10.0, 0.01)
    assert (measured.backlog, measured.lag_seconds) == (600, 7.0)


def test_the_consumer_that_is_furthest_behind_counts_and_each_of_them_costs(table: LagTable) -> None:
    first = tenant_partitions(ACME)[0]
    report(table, first, tenants={"acme": TenantProgress(600, busy_seconds=6)})
    report(table, first, consumer="archive", tenants={"acme": TenantProgress(300, busy_seconds=3)})
    report_all(table)
    report_all(table, consumer="archive", backlog=50)
    measured = table.measure("fraud", ACME, NOW)
    assert measured.backlog == 200
    assert (measured.rate, measured.seconds_per_event) == (10.0, 9 / 600)


def test_a_consumer_that_ended_is_missed_and_in_the_end_forgotten(table: LagTable) -> None:
    report_all(table, at=NOW - 60, consumer="former")
    report_all(table)
    assert required(table.measure("fraud", ACME, NOW)) is None
    later = NOW - 60 + FORGET_SECONDS + 1
    report_all(table, at=later)
    assert required(table.measure("fraud", ACME, later)) == 0


def test_a_consumer_of_other_partitions_is_none_of_this_tenants_business(table: LagTable) -> None:
    report_all(table)
    foreign = next(partition for partition in range(12) if partition not in tenant_partitions(ACME))
    report(table, foreign, at=NOW - 60, consumer="former", backlog=1_000)
    assert table.measure("fraud", ACME, NOW).backlog == 0


def test_a_backlog_that_nobody_works_on_is_not_taken_for_no_work(table: LagTable) -> None:
    report_all(table, backlog=100)
    assert required(table.measure("fraud", ACME, NOW)) is None
    report(table, 0, tenants={"globex": TenantProgress(100, busy_seconds=60)})
    assert table.measure("fraud", ACME, NOW).seconds_per_event == 0.6
    assert required(table.measure("fraud", ACME, NOW)) == 4


def test_other_topics_are_no_load_of_the_tenant(table: LagTable) -> None:
    for partition in tenant_partitions(ACME):
        report(table, partition, topic=DECISIONS)
    assert table.measure("fraud", ACME, NOW).rate is None
