"""Lists name entities as payments have them: by the same subjects and tokens, as long as these say something."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.periods import token_period_begins, token_period_of
from weir_common.problems import InvalidRequest
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy import Entity, EntityKind, Entry, Policy, entities_of
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE
from weir_fraud.entrypoints.policy_documents import policy_document
from weir_fraud.entrypoints.scoring_request import event_of, payments_to_score
from weir_fraud.protect_lists import ProtectLists
from weir_fraud.read_policy import read_policy

TENANT = TenantId("merchant_12345")
NAMED = [
    {"kind": "user", "value": "hashed_user_id", "reason": "case 1"},
    {"kind": "device", "value": "hash_string", "reason": "case 2"},
    {"kind": "payment_token", "value": "token_hash_123", "reason": "case 3"},
    {"kind": "country", "value": "US", "reason": "case 4"},
    {"kind": "visitor", "value": "hashed_user_id", "reason": "case 5"},
]


class Calendar:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 10, 31, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def vault(calendar: Calendar) -> OpenVault:
    return vault_in_memory(calendar)


async def paid(vault: OpenVault, calendar: Calendar, **user: Any) -> Payment:
    body = copy.deepcopy(EVENT_EXAMPLE)
    body["event"]["event_metadata"]["timestamp"] = calendar.now.isoformat()
    body["event"]["event_data"]["user_context"] |= user
    event, _ = event_of(msgspec.json.encode(body))
    (made,) = await payments_to_score(TENANT, [event], calendar.now, vault.protect)
    return made


async def protect(
    vault: OpenVault,
    calendar: Calendar,
    conditions: CelConditions,
    entries: list[dict[str, Any]],
    known: tuple[Entry, ...] = (),
    *,
    make: bool = True,
) -> Policy:
    written = read_policy(msgspec.json.encode({"deny": entries}), conditions)
    return await ProtectLists(vault.vault, vault.keys)(TENANT, written, known, now=calendar.now, make=make)


def named(policy: Policy) -> set[Entity]:
    return {Entity(entry.kind, value) for entry in policy.deny for value in entry.protected}


async def test_what_is_listed_before_or_after_is_what_the_payment_has(
    vault: OpenVault, calendar: Calendar, conditions: CelConditions
) -> None:
    before = await protect(vault, calendar, conditions, NAMED)
    payment = await paid(vault, calendar)
    assert {entity.kind for entity in entities_of(payment)} == set(EntityKind) - {EntityKind.VISITOR}
    assert set(entities_of(payment)) <= named(before)
    assert set(entities_of(payment)) <= named(await protect(vault, calendar, conditions, NAMED))
    assert set(entities_of(await paid(vault, calendar, anonymous_id="hashed_user_id"))) <= named(before)
    stored = msgspec.json.encode(before)
    assert not any(raw in stored for raw in (b"hashed_user_id", b"hash_string", b"token_hash_123"))


async def test_tokens_are_recognised_through_the_next_period_and_no_entry_claims_more(
    vault: OpenVault, calendar: Calendar, conditions: CelConditions
) -> None:
    policy = await protect(vault, calendar, conditions, NAMED)
    ends = token_period_begins(token_period_of(calendar.now) + 2)
    by_kind = {entry.kind: entry for entry in policy.deny}
    assert by_kind[EntityKind.DEVICE].expires_at == by_kind[EntityKind.DEVICE].recognised_until == ends
    assert by_kind[EntityKind.USER].expires_at is None
    assert timedelta(days=90) < ends - calendar.now <= timedelta(days=180)
    calendar.now = ends - timedelta(seconds=1)
    assert set(entities_of(await paid(vault, calendar))) <= named(policy)
    calendar.now = ends
    unknown = {entity.kind for entity in set(entities_of(await paid(vault, calendar))) - named(policy)}
    assert unknown == {EntityKind.DEVICE, EntityKind.PAYMENT_TOKEN}
    assert not by_kind[EntityKind.DEVICE].is_in_force(calendar.now)


async def test_an_erased_person_is_named_by_nothing(
    vault: OpenVault, calendar: Calendar, conditions: CelConditions
) -> None:
    policy = await protect(vault, calendar, conditions, NAMED[:1])
    (entry,) = policy.deny
    await vault.vault.erase(TENANT, entry.protected[0])  # type: ignore[arg-type]
    payment = await paid(vault, calendar)
    assert Entity(EntityKind.USER, payment.user_id or "") not in named(policy)


async def test_what_was_read_may_be_written_again(
    vault: OpenVault, calendar: Calendar, conditions: CelConditions
) -> None:
    policy = await protect(vault, calendar, conditions, NAMED)
    shown = msgspec.json.decode(msgspec.json.encode(policy_document(policy)))["deny"]
    assert await protect(vault, calendar, conditions, shown, policy.deny) == policy
    with pytest.raises(InvalidRequest) as refused:
        await protect(vault, calendar, conditions, shown)
    assert [error.pointer for error in refused.value.errors] == [f"/deny/{place}/protected" for place in (0, 1, 2, 4)]
    with pytest.raises(InvalidRequest) as twice:
        await protect(vault, calendar, conditions, [*shown, NAMED[0]], policy.deny)
    assert [error.pointer for error in twice.value.errors] == ["/deny"]


@pytest.mark.parametrize(
    ("kind", "expires_at", "fault"),
    [
        ("device", "2027-12-01T00:00:00Z", True),
        ("payment_token", "2027-12-01T00:00:00Z", True),
        ("user", "2027-12-01T00:00:00Z", False),
        ("device", "2026-12-24T00:00:00Z", False),
        ("user", "2026-11-25T10:30:00Z", True),
    ],
)
async def test_an_expiry_that_cannot_be_kept_is_refused(
    vault: OpenVault, calendar: Calendar, conditions: CelConditions, kind: str, expires_at: str, fault: bool
) -> None:
    entries = [{"kind": kind, "value": "x", "reason": "case 1", "expires_at": expires_at}]
    if not fault:
        (entry,) = (await protect(vault, calendar, conditions, entries)).deny
        assert entry.expires_at == datetime.fromisoformat(expires_at)
        return
    with pytest.raises(InvalidRequest) as refused:
        await protect(vault, calendar, conditions, entries)
    assert [error.pointer for error in refused.value.errors] == ["/deny/0/expires_at"]


async def test_a_dry_run_makes_nobody_known(vault: OpenVault, calendar: Calendar, conditions: CelConditions) -> None:
    policy = await protect(vault, calendar, conditions, NAMED[:1], make=False)
    assert policy.deny == ()
    await paid(vault, calendar)
    assert len((await protect(vault, calendar, conditions, NAMED[:1], make=False)).deny) == 1
