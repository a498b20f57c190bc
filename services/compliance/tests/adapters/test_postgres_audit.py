"""The stored audit log on real PostgreSQL: appended once, refused to be changed, and verified when somebody did."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import asyncpg
import pytest
from weir_common.audit import AuditEntry, audit_record
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_compliance.adapters.export_key import ExportKey, ExportKeyRing
from weir_compliance.adapters.postgres_audit import PostgresAuditAppender, PostgresAuditLog
from weir_compliance.domain.audit_chain import BreakKind, Verdict
from weir_compliance.domain.audit_leaf import GENESIS, log_id_of
from weir_compliance.entrypoints.audit_consumer import AppendAudit
from weir_compliance.verify_audit import verify_audit

pytestmark = pytest.mark.integration

Entry = Callable[..., AuditEntry]


def as_record(entry: AuditEntry, offset: int = 0) -> Record:
    outgoing = audit_record(entry)
    assert outgoing.value is not None
    return Record(outgoing.topic, 0, offset, 0, outgoing.key, outgoing.value, outgoing.headers)


async def append(pool: asyncpg.Pool, keys: ExportKeyRing, entries: Sequence[AuditEntry]) -> None:
    handler = AppendAudit(PostgresAuditAppender(keys), lambda: datetime.now(UTC))
    async with pool.acquire() as connection, connection.transaction():
        await handler.apply([as_record(entry) for entry in entries], Transaction(connection))


@pytest.fixture
def log(pool: asyncpg.Pool, keys: ExportKeyRing) -> PostgresAuditLog:
    return PostgresAuditLog(pool, keys)


@pytest.fixture
async def ten(pool: asyncpg.Pool, keys: ExportKeyRing, audit_entry: Entry) -> list[AuditEntry]:
    """Ten entries in the log of the test's tenant."""
    entries = [audit_entry(f"test.{number}", detail={"number": str(number)}) for number in range(10)]
    await append(pool, keys, entries)
    return entries


async def test_entries_are_appended_in_order_and_read_back(
    ten: list[AuditEntry], log: PostgresAuditLog, tenant_id: TenantId
) -> None:
    rows = await log.entries(tenant_id, -1, 100)
    assert [row.entry_id for row in rows] == [entry.entry_id for entry in ten]
    assert [row.seq for row in rows] == list(range(10))
    assert rows[3].payload == b'{"number":"3"}'
    assert [row.seq for row in await log.entries(tenant_id, 3, 2)] == [4, 5]
    head = await log.head(tenant_id)
    assert (head.size, head.hash) == (10, rows[-1].leaf_hash)
    assert tenant_id in await log.logs()
    assert (await verify_audit(log, tenant_id)).intact


async def test_an_entry_that_comes_again_is_not_appended_again(
    pool: asyncpg.Pool, keys: ExportKeyRing, ten: list[AuditEntry], log: PostgresAuditLog, tenant_id: TenantId,
    audit_entry: Entry,
) -> None:  # fmt: skip
    fresh = audit_entry("test.fresh")
    await append(pool, keys, [ten[2], fresh, ten[9], fresh])
    assert [row.entry_id for row in await log.entries(tenant_id, 8, 10)] == [ten[9].entry_id, fresh.entry_id]
    assert (await verify_audit(log, tenant_id)).intact


async def test_tenants_have_logs_of_their_own(
    pool: asyncpg.Pool, keys: ExportKeyRing, log: PostgresAuditLog, tenant_id: TenantId, audit_entry: Entry
) -> None:
    other = TenantId(tenant_id + "-other")
    mixed = [audit_entry("a"), audit_entry("b", tenant_id=other), audit_entry("c"), audit_entry("d", tenant_id=other)]
    await append(pool, keys, mixed)
    assert [row.entry_id for row in await log.entries(tenant_id, -1, 10)] == [mixed[0].entry_id, mixed[2].entry_id]
    assert [row.entry_id for row in await log.entries(other, -1, 10)] == [mixed[1].entry_id, mixed[3].entry_id]


async def test_two_writers_at_once_leave_one_chain(
    pool: asyncpg.Pool, keys: ExportKeyRing, log: PostgresAuditLog, tenant_id: TenantId, audit_entry: Entry
) -> None:
    await asyncio.gather(*(append(pool, keys, [audit_entry(f"writer.{n}") for _ in range(5)]) for n in range(4)))
    verdict = await verify_audit(log, tenant_id)
    assert (verdict.intact, verdict.entries) == (True, 20)


async def test_an_empty_log_verifies(log: PostgresAuditLog, tenant_id: TenantId) -> None:
    head = await log.head(tenant_id)
    assert (head.log_id, head.size, head.hash) == (log_id_of(tenant_id), 0, GENESIS)
    assert (await verify_audit(log, tenant_id)).intact


async def test_a_batch_that_is_rolled_back_leaves_nothing(
    pool: asyncpg.Pool, keys: ExportKeyRing, log: PostgresAuditLog, tenant_id: TenantId, audit_entry: Entry
) -> None:
    handler = AppendAudit(PostgresAuditAppender(keys), lambda: datetime.now(UTC))

    async def fail() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await handler.apply([as_record(audit_entry())], Transaction(connection))
            raise RuntimeError("after the effects")

    with pytest.raises(RuntimeError):
        await fail()
    assert (await log.head(tenant_id)).size == 0
    assert list(await log.entries(tenant_id, -1, 10)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET leaf = leaf WHERE tenant_id = $1",
        "DELETE FROM audit_entry WHERE tenant_id = $1",
        "UPDATE audit_payload SET salt = salt WHERE tenant_id = $1",
    ],
)
async def test_the_service_itself_may_not_change_the_log(
    pool: asyncpg.Pool, ten: list[AuditEntry], tenant_id: TenantId, statement: str
) -> None:
    async def attempt() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
            await connection.execute(statement, tenant_id)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await attempt()


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET leaf = leaf", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
async def test_even_the_owner_is_refused_by_the_trigger(
    owner: asyncpg.Connection, ten: list[AuditEntry], tenant_id: TenantId, statement: str
) -> None:
    async def attempt() -> None:
        async with owner.transaction():
            await owner.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
            await owner.execute(statement)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="cannot be changed or removed"):
        await attempt()


# Who has the owner's role can turn the trigger off. Then only the chain tells.
TAMPERING: dict[str, tuple[list[str], int, set[BreakKind]]] = {
    "one bit of a leaf": (
        ["UPDATE audit_entry SET leaf = set_bit(leaf, 77, 1 - get_bit(leaf, 77)) WHERE tenant_id = $1 AND seq = 4"],
        4,
        {BreakKind.LEAF_HASH},
    ),
    "one bit of a hash": (
        ["UPDATE audit_entry SET leaf_hash = set_bit(leaf_hash, 0, 1 - get_bit(leaf_hash, 0)) WHERE tenant_id = $1 AND seq = 4"],
        4,
        {BreakKind.LEAF_HASH, BreakKind.PREVIOUS},
    ),
    "a leaf and its hash": (
        [
            "UPDATE audit_entry SET leaf = replace(encode(leaf, 'escape'), 'success', 'failure')::bytea WHERE tenant_id = $1 AND seq = 4",
            "UPDATE audit_entry SET leaf_hash = sha256('\\x00'::bytea || leaf) WHERE tenant_id = $1 AND seq = 4",
        ],
        5,
        {BreakKind.PREVIOUS},
    ),
    "one bit of a salt": (
        ["UPDATE audit_payload SET salt = set_bit(salt, 0, 1 - get_bit(salt, 0)) WHERE tenant_id = $1 AND entry_id = "
         "(SELECT entry_id FROM audit_entry WHERE tenant_id = $1 AND seq = 4)"],
        4,
        {BreakKind.COMMITMENT},
    ),
    "one bit of a sealed payload": (
        ["UPDATE audit_payload SET sealed = set_bit(sealed, 300, 1 - get_bit(sealed, 300)) WHERE tenant_id = $1 AND entry_id = "
         "(SELECT entry_id FROM audit_entry WHERE tenant_id = $1 AND seq = 4)"],
        4,
        {BreakKind.COMMITMENT},
    ),
    "a removed entry": (["DELETE FROM audit_entry WHERE tenant_id = $1 AND seq = 4"], 5, {BreakKind.SEQUENCE, BreakKind.PREVIOUS}),
    "the last entry removed": (["DELETE FROM audit_entry WHERE tenant_id = $1 AND seq = 9"], 8, {BreakKind.HEAD}),
    "two entries swapped": (
        ["UPDATE audit_entry SET seq = CASE seq WHEN 4 THEN -5 ELSE -4 END WHERE tenant_id = $1 AND seq IN (4, 5)",
         "UPDATE audit_entry SET seq = -seq WHERE tenant_id = $1 AND seq < 0"],
        4,
        {BreakKind.MEMBER, BreakKind.PREVIOUS},
    ),
    "an entry inserted": (
        ["UPDATE audit_entry SET seq = -seq - 1 WHERE tenant_id = $1 AND seq > 4",
         "UPDATE audit_entry SET seq = -seq WHERE tenant_id = $1 AND seq < 0",
         "INSERT INTO audit_entry SELECT tenant_id, log_id, 5, gen_random_uuid(), leaf, leaf_hash FROM audit_entry WHERE tenant_id = $1 AND seq = 4",
         "UPDATE audit_head SET size = size + 1 WHERE log_id = 'weir.audit/' || $1"],
        5,
        {BreakKind.MEMBER, BreakKind.PREVIOUS},
    ),
    "an entry added behind the head": (
        ["INSERT INTO audit_entry SELECT tenant_id, log_id, 10, gen_random_uuid(), leaf, leaf_hash FROM audit_entry WHERE tenant_id = $1 AND seq = 9"],
        10,
        {BreakKind.HEAD},
    ),
    "a head rolled back": (["UPDATE audit_head SET size = 8 WHERE log_id = 'weir.audit/' || $1"], 7, {BreakKind.HEAD}),
}  # fmt: skip


async def tampered(owner: asyncpg.Connection, tenant_id: TenantId, statements: list[str]) -> None:
    async with owner.transaction():
        await owner.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
        await owner.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        for statement in statements:
            changed = await owner.execute(statement, tenant_id)
            assert not changed.endswith(" 0"), f"the test changes nothing: {statement}"
        await owner.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")


@pytest.mark.parametrize("what", TAMPERING)
async def test_tampering_is_found_where_it_is(
    owner: asyncpg.Connection, ten: list[AuditEntry], log: PostgresAuditLog, tenant_id: TenantId, what: str
) -> None:
    statements, seq, kinds = TAMPERING[what]
    await tampered(owner, tenant_id, statements)
    verdict: Verdict = await verify_audit(log, tenant_id)
    assert not verdict.intact
    assert verdict.breaks[0].seq == seq
    assert kinds <= {found.kind for found in verdict.breaks}
    assert all(found.expected != found.got for found in verdict.breaks)


async def test_a_payload_may_be_erased(
    pool: asyncpg.Pool, ten: list[AuditEntry], log: PostgresAuditLog, tenant_id: TenantId
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
        await connection.execute(
            "DELETE FROM audit_payload WHERE tenant_id = $1 AND entry_id = $2", tenant_id, ten[3].entry_id
        )
    verdict = await verify_audit(log, tenant_id)
    assert (verdict.intact, verdict.erased_payloads) == (True, 1)


async def test_the_log_of_another_key_can_be_verified_but_its_payloads_cannot_be_read(
    pool: asyncpg.Pool, ten: list[AuditEntry], tenant_id: TenantId
) -> None:
    stranger = PostgresAuditLog(pool, ExportKeyRing([ExportKey.of(b"x" * 32)]))
    verdict = await verify_audit(stranger, tenant_id)
    assert {found.kind for found in verdict.breaks} == {BreakKind.COMMITMENT}
    assert len(verdict.breaks) == 10


async def test_what_is_no_entry_is_put_aside_by_name(
    pool: asyncpg.Pool, keys: ExportKeyRing, audit_entry: Entry
) -> None:
    good, bad = as_record(audit_entry()), Record("t", 0, 7, 0, b"", b"{}", {"weir-tenant": b"t"})
    handler = AppendAudit(PostgresAuditAppender(keys), lambda: datetime.now(UTC))

    async def apply() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await handler.apply([good, bad], Transaction(connection))

    with pytest.raises(QuarantineError) as caught:
        await apply()
    assert caught.value.record is bad
