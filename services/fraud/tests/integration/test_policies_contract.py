"""The same tests for the policies in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.kafka.topics import AUDIT
from weir_common.postgres import tenant_transaction
from weir_common.problems import Conflict
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.postgres_policies import PostgresPolicies
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import NOTHING, EntityKind, Entry, Policy, PolicyVersion, Rule, VersionState
from weir_fraud.ports import Audited, PolicyStore

AT = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)
POLICY = Policy(
    thresholds=Thresholds(review=0.1, decline=0.30000000000000004),
    allow=(Entry(kind=EntityKind.USER, protected=("sub_ann",), reason="case 1"),),
    deny=(
        Entry(
            kind=EntityKind.DEVICE, protected=("dev_1", "dev_2"), reason="case ü", expires_at=AT, recognised_until=AT
        ),
        Entry(kind=EntityKind.VISITOR, protected=("sub_bob",), reason="case 2"),
    ),
    rules=(Rule(name="one", expression="score > 0.5\n&& declined", action=Outcome.REVIEW, reason="r", enabled=False),),
)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `PolicyStore`."""
    if request.param == "memory":
        return MemoryPolicies()
    return PostgresPolicies(request.getfixturevalue("pool"), lambda: None)


@pytest.fixture
def audited(tenant: TenantId) -> Audited:
    def entry(number: int) -> AuditEntry:
        return AuditEntry(
            tenant_id=tenant, actor="ann", actor_kind="person", action="x", object_ref=f"{number}", outcome="success"
        )

    return entry


async def propose(store: PolicyStore, tenant: TenantId, audited: Audited, policy: Policy = POLICY) -> PolicyVersion:
    draft = await store.save_draft(tenant, policy, "ann", AT, audited)
    return await store.propose_draft(tenant, draft.revision, "ann", "a note", AT, audited)


async def put_in_force(store: PolicyStore, tenant: TenantId, audited: Audited, policy: Policy = POLICY) -> int:
    made = await propose(store, tenant, audited, policy)
    return (await store.decide(tenant, made.version, True, "bob", "seen", AT, audited)).version


async def test_a_draft_remembers_all_who_wrote_on_it(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    assert await store.draft(tenant) is None
    for number, editor in enumerate(("ann", "bob", "ann"), 1):
        saved = await store.save_draft(tenant, POLICY, editor, AT, audited)
        assert saved.revision == number
    assert await store.draft(tenant) == saved
    assert (saved.policy, saved.editors) == (POLICY, ("ann", "bob"))
    with pytest.raises(Conflict):
        await store.propose_draft(tenant, 2, "cem", "", AT, audited)
    made = await store.propose_draft(tenant, 3, "cem", "why", AT, audited)
    assert (made.version, made.state, made.makers) == (1, VersionState.PROPOSED, ("ann", "bob", "cem"))
    assert await store.version(tenant, 1) == made
    assert await store.draft(tenant) is None
    with pytest.raises(Conflict):
        await store.propose_draft(tenant, 3, "cem", "", AT, audited)
    again = await store.save_draft(tenant, NOTHING, "dan", AT, audited)
    assert (again.revision, again.editors) == (4, ("dan",)), "a number never stands for two drafts"


async def test_a_version_s_life(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    assert await store.active(tenant) is None
    first = await propose(store, tenant, audited)
    assert await store.active(tenant) is None
    assert await store.active_versions({tenant: 0}) == {tenant: (0, None)}
    approved = await store.decide(tenant, 1, True, "bob", "seen", AT, audited)
    assert approved == msgspec.structs.replace(
        first, state=VersionState.ACTIVE, decided_by="bob", decided_at=AT, decision_note="seen"
    )
    assert await store.active(tenant) == approved
    assert await store.active_versions({tenant: 0}) == {tenant: (1, POLICY)}
    assert await store.active_versions({tenant: 1}) == {tenant: (1, None)}
    for approve in (True, False):
        with pytest.raises(Conflict):
            await store.decide(tenant, 1, approve, "bob", "", AT, audited)
        with pytest.raises(Conflict):
            await store.decide(tenant, 9, approve, "bob", "", AT, audited)
    await propose(store, tenant, audited, NOTHING)
    rejected = await store.decide(tenant, 2, False, "ann", "no", AT, audited)
    assert (rejected.state, rejected.decided_by) == (VersionState.REJECTED, "ann")
    assert await put_in_force(store, tenant, audited, NOTHING) == 3
    restored = await store.propose(tenant, POLICY, 1, "ann", "back", AT, audited)
    assert (restored.version, restored.restores, restored.makers) == (4, 1, ("ann",))
    await store.decide(tenant, 4, True, "bob", "", AT, audited)
    versions = await store.versions(tenant, None, 10)
    assert [(one.version, one.state.value) for one in versions] == [
        (4, "active"),
        (3, "superseded"),
        (2, "rejected"),
        (1, "superseded"),
    ]
    assert {one.policy for one in versions} == {NOTHING}
    assert [one.version for one in await store.versions(tenant, 4, 2)] == [3, 2]


async def test_one_proposal_at_a_time(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    await propose(store, tenant, audited)
    saved = await store.save_draft(tenant, POLICY, "ann", AT, audited)
    with pytest.raises(Conflict):
        await store.propose_draft(tenant, saved.revision, "ann", "", AT, audited)
    with pytest.raises(Conflict):
        await store.propose(tenant, POLICY, 1, "ann", "", AT, audited)
    assert await store.draft(tenant) == saved, "what could not be submitted is still there"


async def test_two_who_decide_at_once(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    await propose(store, tenant, audited)
    answers = await asyncio.gather(
        *(store.decide(tenant, 1, bool(number % 2), "bob", "", AT, audited) for number in range(6)),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 5 + ["PolicyVersion"]


async def test_tenants_do_not_see_each_other(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    other = TenantId(f"{tenant}-other")
    await put_in_force(store, tenant, audited)
    await store.save_draft(tenant, POLICY, "ann", AT, audited)
    assert await store.draft(other) is None
    assert await store.active(other) is None
    assert await store.version(other, 1) is None
    assert await store.versions(other, None, 10) == []
    assert await store.entries_of_subject(other, ["sub_ann"]) == []
    with pytest.raises(Conflict):
        await store.decide(other, 1, True, "bob", "", AT, audited)
    assert await put_in_force(store, other, audited, NOTHING) == 1
    assert await store.active_versions({other: 0, tenant: 0, TenantId("nobody"): 0}) == {
        other: (1, NOTHING),
        tenant: (1, POLICY),
        TenantId("nobody"): (0, None),
    }


async def test_a_person_s_entries_are_found(store: PolicyStore, tenant: TenantId, audited: Audited) -> None:
    await put_in_force(store, tenant, audited)
    await store.save_draft(tenant, POLICY, "ann", AT, audited)
    found = await store.entries_of_subject(tenant, ["sub_bob", "sub_other", "dev_1"])
    assert found == [(0, None, "deny", POLICY.deny[1]), (1, VersionState.ACTIVE, "deny", POLICY.deny[1])]
    assert len(await store.entries_of_subject(tenant, ["sub_ann", "sub_bob"])) == 4


@pytest.mark.integration
async def test_changes_and_their_audit_entries_are_one(pool: asyncpg.Pool, tenant: TenantId, audited: Audited) -> None:
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    store = PostgresPolicies(pool, wake)
    # The running service relays the same outbox: look inside a transaction that holds its lock.
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('outbox:fraud'))")
        await put_in_force(store, tenant, audited)
        rows = await connection.fetch(
            "SELECT topic, value FROM fraud.outbox WHERE key = $1 AND headers ->> 'weir-tenant' = $2 ORDER BY id",
            tenant.encode(),
            tenant,
        )
    assert {row["topic"] for row in rows} == {AUDIT}
    assert [msgspec.json.decode(row["value"])["object_ref"] for row in rows] == ["1", "1", "1"]

    def fails(number: int) -> AuditEntry:
        raise ZeroDivisionError

    for change in (
        store.save_draft(tenant, POLICY, "ann", AT, fails),
        store.propose(tenant, POLICY, 1, "ann", "", AT, fails),
    ):
        with pytest.raises(ZeroDivisionError):
            await change
    assert woken == 3
    assert await store.draft(tenant) is None
    assert len(await store.versions(tenant, None, 10)) == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE fraud.policy_version SET document = '{}' WHERE tenant_id = $1",
        "UPDATE fraud.policy_version SET makers = '{zoe}' WHERE tenant_id = $1",
        "UPDATE fraud.policy_version SET decided_by = 'zoe' WHERE tenant_id = $1",
        "UPDATE fraud.policy_version SET state = 'proposed', decided_by = NULL WHERE tenant_id = $1",
        "DELETE FROM fraud.policy_version WHERE tenant_id = $1",
    ],
)
async def test_an_approved_version_is_never_changed(
    pool: asyncpg.Pool, tenant: TenantId, audited: Audited, statement: str
) -> None:
    store = PostgresPolicies(pool, lambda: None)
    await put_in_force(store, tenant, audited)
    before = await store.version(tenant, 1)
    with pytest.raises(asyncpg.RaiseError):
        async with tenant_transaction(pool, tenant) as connection:
            await connection.execute(statement, tenant)
    assert await store.version(tenant, 1) == before


@pytest.mark.integration
async def test_the_database_lets_no_maker_approve(pool: asyncpg.Pool, tenant: TenantId, audited: Audited) -> None:
    store = PostgresPolicies(pool, lambda: None)
    await propose(store, tenant, audited)
    with pytest.raises(asyncpg.CheckViolationError):
        await store.decide(tenant, 1, True, "ann", "", AT, audited)
