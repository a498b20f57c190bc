"""Subject requests in PostgreSQL: what identifies a person is sealed, and found by blind index."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import TenantId
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, tenant_transaction

from weir_compliance.adapters.export_key import ExportKeyRing
from weir_compliance.domain.audit_leaf import format_time
from weir_compliance.domain.manifest import StoreReceipt
from weir_compliance.domain.request_state import RequestKind, RequestState, StoreState, move
from weir_compliance.domain.subject import Subject, blind_indexes
from weir_compliance.domain.subject_request import (
    Archive,
    KeyState,
    NewRequest,
    Particulars,
    StoreTask,
    SubjectRequest,
    request_ref,
    workflow_id,
)
from weir_compliance.domain.workflow_messages import SubjectRequestInput
from weir_compliance.errors import RequestGoneError
from weir_compliance.ports import Fulfilment, Received

SCHEMA = "compliance"

# Purposes of the export key: what one seals, another does not open.
_SUBJECT, _STAGING, _ARCHIVE = "subject", "staging-identity", "archive-identity"


class PostgresSubjectRequests:
    """`SubjectRequests` on a pool of the application role.

    `task_queue` is where the workflows of new requests run; `wake_outbox` is called after commits that audit.
    """

    def __init__(
        self, pool: asyncpg.Pool, keys: ExportKeyRing, task_queue: str, wake_outbox: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._task_queue = task_queue
        self._wake_outbox = wake_outbox

    async def receive(self, request: NewRequest, audit: AuditEntry) -> Received:
        async with tenant_transaction(self._pool, request.tenant_id) as connection:
            created = await connection.fetchval(
                """
                INSERT INTO subject_request (tenant_id, request_id, kind, regime, state, sealed_subject,
                subject_indexes,
                    recipient, requested_by, idempotency_key, received_at, due_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
                RETURNING true
                """,
                request.tenant_id,
                request.request_id,
                request.kind,
                request.regime,
                RequestState.RECEIVED,
                self._seal(request.tenant_id, request.request_id, _SUBJECT, _encode(request)),
                blind_indexes(self._keys.index_keys(request.tenant_id)[0], request.particulars.subject),
                request.recipient,
                request.requested_by,
                request.idempotency_key,
                request.received_at,
                request.due_at,
            )
            if created:
                await self._write_start(connection, request)
                await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
                request_id = request.request_id
            else:
                request_id = await connection.fetchval(
                    "SELECT request_id FROM subject_request WHERE tenant_id = $1 AND idempotency_key = $2",
                    request.tenant_id,
                    request.idempotency_key,
                )
            found = await self._find(connection, request.tenant_id, request_id)
        self._wake_outbox()
        if found is None:
            raise RequestGoneError("request_gone")
        return Received(found, bool(created))

    async def find(self, tenant_id: TenantId, request_id: UUID) -> SubjectRequest | None:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await self._find(connection, tenant_id, request_id)

    async def of_subject(self, tenant_id: TenantId, subject: Subject) -> Sequence[SubjectRequest]:
        indexes = [index for key in self._keys.index_keys(tenant_id) for index in blind_indexes(key, subject)]
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT request_id FROM subject_request WHERE tenant_id = $1 AND subject_indexes && $2::bytea[] "
                "ORDER BY received_at, request_id",
                tenant_id,
                indexes,
            )
            found = [await self._find(connection, tenant_id, row["request_id"]) for row in rows]
        return [request for request in found if request is not None]

    async def plan(self, tenant_id: TenantId, request_id: UUID, stores: Sequence[str], staging_identity: str) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await self._move(connection, tenant_id, request_id, RequestState.RUNNING)
            await connection.execute(
                "UPDATE subject_request SET staging_key = COALESCE(staging_key, $3) WHERE tenant_id = $1 AND request_id = $2",
                tenant_id,
                request_id,
                self._seal(tenant_id, request_id, _STAGING, staging_identity.encode()),
            )
            await connection.executemany(
                "INSERT INTO store_task (tenant_id, request_id, store, state) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                [(tenant_id, request_id, store, StoreState.PENDING) for store in stores],
            )

    async def staging_identity(self, tenant_id: TenantId, request_id: UUID) -> str:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            sealed = await connection.fetchval(
                "SELECT staging_key FROM subject_request WHERE tenant_id = $1 AND request_id = $2",
                tenant_id,
                request_id,
            )
        if sealed is None:
            raise RequestGoneError("staging_key_destroyed")
        return self._open(tenant_id, request_id, _STAGING, sealed).decode()

    async def store_begins(self, tenant_id: TenantId, request_id: UUID, store: str, at: datetime) -> None:
        await self._update_task(
            "UPDATE store_task SET state = $4, attempts = attempts + 1, started_at = COALESCE(started_at, $5) "
            "WHERE tenant_id = $1 AND request_id = $2 AND store = $3",
            tenant_id,
            request_id,
            store,
            StoreState.COLLECTING,
            at,
        )

    async def store_fails(self, tenant_id: TenantId, request_id: UUID, store: str, code: str, *, retried: bool) -> None:
        await self._update_task(
            "UPDATE store_task SET state = $4, error_code = $5 WHERE tenant_id = $1 AND request_id = $2 AND store = $3",
            tenant_id,
            request_id,
            store,
            StoreState.WAITING if retried else StoreState.FAILED,
            code,
        )

    async def store_delivers(self, tenant_id: TenantId, request_id: UUID, receipt: StoreReceipt, at: datetime) -> None:
        await self._update_task(
            "UPDATE store_task SET state = $4, receipt = $5, finished_at = $6, error_code = NULL "
            "WHERE tenant_id = $1 AND request_id = $2 AND store = $3",
            tenant_id,
            request_id,
            receipt.store,
            StoreState.DONE,
            msgspec.json.encode(receipt).decode(),
            at,
        )

    async def store_lost(self, tenant_id: TenantId, request_id: UUID, store: str) -> None:
        await self._update_task(
            "UPDATE store_task SET state = $4, receipt = NULL, finished_at = NULL, error_code = 'part_lost' "
            "WHERE tenant_id = $1 AND request_id = $2 AND store = $3",
            tenant_id,
            request_id,
            store,
            StoreState.PENDING,
        )

    async def fulfil(self, fulfilment: Fulfilment, audit: AuditEntry) -> None:
        tenant_id, request_id = fulfilment.tenant_id, fulfilment.request_id
        sealed = (
            None
            if fulfilment.archive_identity is None
            else self._seal(tenant_id, request_id, _ARCHIVE, fulfilment.archive_identity.encode())
        )
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await self._move(connection, tenant_id, request_id, RequestState.FULFILLED)
            await connection.execute(
                """
                UPDATE subject_request SET finished_at = $3, staging_key = NULL, archive_key = $4, archive_bytes = $5,
                    archive_sha256 = $6, manifest = $7, link_expires_at = $8
                WHERE tenant_id = $1 AND request_id = $2
                """,
                tenant_id,
                request_id,
                fulfilment.at,
                sealed,
                fulfilment.archive_bytes,
                fulfilment.archive_sha256,
                fulfilment.manifest,
                fulfilment.link_expires_at,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()

    async def escalate(
        self, tenant_id: TenantId, request_id: UUID, reason: str, at: datetime, audit: AuditEntry
    ) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(
                "UPDATE subject_request SET escalation = $3, escalated_at = $4 WHERE tenant_id = $1 AND request_id = $2",
                tenant_id,
                request_id,
                reason,
                at,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()

    async def hand_out_key(self, tenant_id: TenantId, request_id: UUID, at: datetime, audit: AuditEntry) -> str | None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            sealed = await connection.fetchval(
                "SELECT archive_key FROM subject_request WHERE tenant_id = $1 AND request_id = $2 FOR UPDATE",
                tenant_id,
                request_id,
            )
            if sealed is None:
                return None
            identity = self._open(tenant_id, request_id, _ARCHIVE, sealed).decode()
            await connection.execute(
                "UPDATE subject_request SET archive_key = NULL, archive_key_handed_at = $3 "
                "WHERE tenant_id = $1 AND request_id = $2",
                tenant_id,
                request_id,
                at,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()
        return identity

    async def expire(self, tenant_id: TenantId, request_id: UUID, audit: AuditEntry) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            before = await self._move(connection, tenant_id, request_id, RequestState.EXPIRED)
            if before is RequestState.EXPIRED:
                return
            await connection.execute(
                "UPDATE subject_request SET archive_key = NULL WHERE tenant_id = $1 AND request_id = $2",
                tenant_id,
                request_id,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        self._wake_outbox()

    async def _write_start(self, connection: Connection, request: NewRequest) -> None:
        order = SubjectRequestInput(
            request_ref=request_ref(request.tenant_id, request.request_id),
            kind=request.kind,
            regime=request.regime,
            received_at=format_time(request.received_at),
            due_at=format_time(request.due_at),
        )
        await connection.execute(
            "INSERT INTO workflow_start (workflow_id, task_queue, input, written_at) VALUES ($1, $2, $3, $4)",
            workflow_id(request.tenant_id, request.request_id),
            self._task_queue,
            msgspec.json.encode(order).decode(),
            request.received_at,
        )

    async def _update_task(self, statement: str, tenant_id: TenantId, *more: object) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(statement, tenant_id, *more)

    @staticmethod
    async def _move(
        connection: Connection, tenant_id: TenantId, request_id: UUID, wanted: RequestState
    ) -> RequestState:
        """Moves the row, which stays locked until the end of the transaction; gives the state before."""
        current = await connection.fetchval(
            "SELECT state FROM subject_request WHERE tenant_id = $1 AND request_id = $2 FOR UPDATE",
            tenant_id,
            request_id,
        )
        if current is None:
            raise RequestGoneError("request_gone")
        before = RequestState(current)
        await connection.execute(
            "UPDATE subject_request SET state = $3 WHERE tenant_id = $1 AND request_id = $2",
            tenant_id,
            request_id,
            move(before, wanted),
        )
        return before

    async def _find(self, connection: Connection, tenant_id: TenantId, request_id: UUID) -> SubjectRequest | None:
        row = await connection.fetchrow(
            "SELECT * FROM subject_request WHERE tenant_id = $1 AND request_id = $2", tenant_id, request_id
        )
        if row is None:
            return None
        tasks = await connection.fetch(
            "SELECT * FROM store_task WHERE tenant_id = $1 AND request_id = $2 ORDER BY store", tenant_id, request_id
        )
        sealed = msgspec.json.decode(self._open(tenant_id, request_id, _SUBJECT, row["sealed_subject"]), type=_Sealed)
        return SubjectRequest(
            tenant_id=tenant_id,
            request_id=row["request_id"],
            kind=RequestKind(row["kind"]),
            regime=row["regime"],
            state=RequestState(row["state"]),
            particulars=Particulars(Subject(sealed.user_ids, sealed.anonymous_ids), sealed.reference, sealed.reason),
            recipient=row["recipient"],
            requested_by=row["requested_by"],
            body_digest=sealed.body_digest,
            received_at=row["received_at"],
            due_at=row["due_at"],
            finished_at=row["finished_at"],
            escalation=row["escalation"],
            escalated_at=row["escalated_at"],
            key_state=_key_state(row),
            archive=_archive(row),
            tasks={task["store"]: _task(task) for task in tasks},
        )

    def _seal(self, tenant_id: TenantId, request_id: UUID, purpose: str, plain: bytes) -> bytes:
        return self._keys.seal(purpose, tenant_id, request_id.bytes, plain)

    def _open(self, tenant_id: TenantId, request_id: UUID, purpose: str, sealed: bytes) -> bytes:
        return self._keys.open(purpose, tenant_id, request_id.bytes, sealed)


class _Sealed(msgspec.Struct, frozen=True):
    """What is sealed of a request. The digest too: whoever knows a person's id could find a plain one by trying."""

    user_ids: tuple[str, ...]
    anonymous_ids: tuple[str, ...]
    reference: str
    reason: str
    body_digest: bytes


def _encode(request: NewRequest) -> bytes:
    particulars = request.particulars
    return msgspec.json.encode(
        _Sealed(
            particulars.subject.user_ids,
            particulars.subject.anonymous_ids,
            particulars.reference,
            particulars.reason,
            request.body_digest,
        )
    )


def _key_state(row: asyncpg.Record) -> KeyState:
    if row["recipient"] is not None:
        return KeyState.RECIPIENT
    if row["archive_key_handed_at"] is not None:
        return KeyState.HANDED_OUT
    if row["archive_key"] is not None:
        return KeyState.AVAILABLE
    return KeyState.DESTROYED if row["finished_at"] is not None else KeyState.PENDING


def _archive(row: asyncpg.Record) -> Archive | None:
    if row["archive_sha256"] is None:
        return None
    return Archive(row["archive_bytes"], row["archive_sha256"], row["manifest"], row["link_expires_at"])


def _task(row: asyncpg.Record) -> StoreTask:
    receipt = row["receipt"]
    return StoreTask(
        store=row["store"],
        state=StoreState(row["state"]),
        attempts=row["attempts"],
        error_code=row["error_code"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        receipt=None if receipt is None else msgspec.json.decode(receipt, type=StoreReceipt),
    )
