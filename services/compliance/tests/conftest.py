"""Fakes of compliance's ports, the clock that tests move, and the real servers of the running mesh."""

import asyncio
import dataclasses
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId, uuid7
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_compliance.adapters.age_files import new_identity
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.adapters.export_key import ExportKey, ExportKeyRing
from weir_compliance.adapters.postgres_requests import SCHEMA, PostgresSubjectRequests
from weir_compliance.domain.audit_chain import Head, StoredEntry
from weir_compliance.domain.audit_leaf import GENESIS, log_id_of
from weir_compliance.domain.manifest import Processing, StoreReceipt
from weir_compliance.domain.request_state import RequestKind, RequestState, StoreState, move
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import (
    Archive,
    KeyState,
    NewRequest,
    Particulars,
    StoreTask,
    SubjectRequest,
)
from weir_compliance.errors import RequestGoneError, StoreError
from weir_compliance.ports import Fulfilment, Received, SubjectRecord, SubjectSummary
from weir_compliance.settings import Settings

# Not the service's own: it must not start the workflows of requests that only a test can open.
TEST_QUEUE = "weir.compliance.test"


@dataclass
class FakeClock:
    """A clock that stands until it is moved."""

    now: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@dataclass
class _Row:
    request: SubjectRequest
    idempotency_key: str | None
    staging: str | None = None
    archive_identity: str | None = None


class MemorySubjectRequests:
    """Requests in memory. `audited` is what an outbox would hold."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, UUID], _Row] = {}
        self.audited: list[AuditEntry] = []

    async def receive(self, request: NewRequest, audit: AuditEntry) -> Received:
        for (tenant_id, _), row in self._rows.items():
            known = request.idempotency_key is not None and row.idempotency_key == request.idempotency_key
            if tenant_id == request.tenant_id and known:
                return Received(row.request, False)
        row = _Row(
            SubjectRequest(
                tenant_id=request.tenant_id,
                request_id=request.request_id,
                kind=request.kind,
                regime=request.regime,
                state=RequestState.RECEIVED,
                particulars=request.particulars,
                recipient=request.recipient,
                requested_by=request.requested_by,
                body_digest=request.body_digest,
                received_at=request.received_at,
                due_at=request.due_at,
                finished_at=None,
                escalation=None,
                escalated_at=None,
                key_state=KeyState.PENDING if request.recipient is None else KeyState.RECIPIENT,
                archive=None,
                tasks={},
            ),
            request.idempotency_key,
        )
        self._rows[(request.tenant_id, request.request_id)] = row
        self.audited.append(audit)
        return Received(row.request, True)

    async def find(self, tenant_id: TenantId, request_id: UUID) -> SubjectRequest | None:
        row = self._rows.get((tenant_id, request_id))
        return None if row is None else row.request

    async def of_subject(self, tenant_id: TenantId, subject: Subject) -> Sequence[SubjectRequest]:
        wanted = set(subject.identifiers())
        found = [
            row.request
            for (tenant, _), row in self._rows.items()
            if tenant == tenant_id and wanted & set(row.request.particulars.subject.identifiers())
        ]
        return sorted(found, key=lambda request: (request.received_at, request.request_id))

    async def plan(self, tenant_id: TenantId, request_id: UUID, stores: Sequence[str], staging_identity: str) -> None:
        row = self._moved(tenant_id, request_id, RequestState.RUNNING)
        row.staging = row.staging or staging_identity
        fresh = {store: StoreTask(store, StoreState.PENDING, 0, None, None, None, None) for store in stores}
        row.request = dataclasses.replace(row.request, tasks=fresh | dict(row.request.tasks))

    async def staging_identity(self, tenant_id: TenantId, request_id: UUID) -> str:
        staging = self._rows[(tenant_id, request_id)].staging
        if staging is None:
            raise RequestGoneError("staging_key_destroyed")
        return staging

    async def store_begins(self, tenant_id: TenantId, request_id: UUID, store: str, at: datetime) -> None:
        task = self._rows[(tenant_id, request_id)].request.tasks[store]
        self._set(
            tenant_id,
            request_id,
            store,
            state=StoreState.COLLECTING,
            attempts=task.attempts + 1,
            started_at=task.started_at or at,
        )

    async def store_fails(self, tenant_id: TenantId, request_id: UUID, store: str, code: str, *, retried: bool) -> None:
        state = StoreState.WAITING if retried else StoreState.FAILED
        self._set(tenant_id, request_id, store, state=state, error_code=code)

    async def store_delivers(self, tenant_id: TenantId, request_id: UUID, receipt: StoreReceipt, at: datetime) -> None:
        self._set(
            tenant_id,
            request_id,
            receipt.store,
            state=StoreState.DONE,
            receipt=receipt,
            finished_at=at,
            error_code=None,
        )

    async def store_lost(self, tenant_id: TenantId, request_id: UUID, store: str) -> None:
        self._set(
            tenant_id,
            request_id,
            store,
            state=StoreState.PENDING,
            receipt=None,
            finished_at=None,
            error_code="part_lost",
        )

    async def fulfil(self, fulfilment: Fulfilment, audit: AuditEntry) -> None:
        row = self._moved(fulfilment.tenant_id, fulfilment.request_id, RequestState.FULFILLED)
        row.staging = None
        row.archive_identity = fulfilment.archive_identity
        row.request = dataclasses.replace(
            row.request,
            finished_at=fulfilment.at,
            key_state=KeyState.RECIPIENT if fulfilment.archive_identity is None else KeyState.AVAILABLE,
            archive=Archive(
                fulfilment.archive_bytes, fulfilment.archive_sha256, fulfilment.manifest, fulfilment.link_expires_at
            ),
        )
        self.audited.append(audit)

    async def escalate(
        self, tenant_id: TenantId, request_id: UUID, reason: str, at: datetime, audit: AuditEntry
    ) -> None:
        row = self._rows[(tenant_id, request_id)]
        row.request = dataclasses.replace(row.request, escalation=reason, escalated_at=at)
        self.audited.append(audit)

    async def hand_out_key(self, tenant_id: TenantId, request_id: UUID, at: datetime, audit: AuditEntry) -> str | None:
        row = self._rows[(tenant_id, request_id)]
        identity, row.archive_identity = row.archive_identity, None
        if identity is not None:
            row.request = dataclasses.replace(row.request, key_state=KeyState.HANDED_OUT)
            self.audited.append(audit)
        return identity

    async def expire(self, tenant_id: TenantId, request_id: UUID, audit: AuditEntry) -> None:
        if self._rows[(tenant_id, request_id)].request.state is RequestState.EXPIRED:
            return
        row = self._moved(tenant_id, request_id, RequestState.EXPIRED)
        row.archive_identity = None
        if row.request.key_state is KeyState.AVAILABLE:
            row.request = dataclasses.replace(row.request, key_state=KeyState.DESTROYED)
        self.audited.append(audit)

    def _moved(self, tenant_id: TenantId, request_id: UUID, wanted: RequestState) -> _Row:
        row = self._rows.get((tenant_id, request_id))
        if row is None:
            raise RequestGoneError("request_gone")
        row.request = dataclasses.replace(row.request, state=move(row.request.state, wanted))
        return row

    def _set(self, tenant_id: TenantId, request_id: UUID, store: str, **changes: Any) -> None:
        row = self._rows[(tenant_id, request_id)]
        task = dataclasses.replace(row.request.tasks[store], **changes)
        row.request = dataclasses.replace(row.request, tasks=dict(row.request.tasks) | {store: task})


@dataclass
class ScriptedStores:
    """Services that answer what the test says: items in order; an error is raised in its place."""

    answers: dict[str, list[SubjectRecord | SubjectSummary | StoreError]] = field(default_factory=dict)
    asked: list[tuple[str, TenantId, UUID, Subject]] = field(default_factory=list)
    subject_ids: list[str] = field(default_factory=list)

    async def records(
        self, store: str, tenant_id: TenantId, request_id: UUID, subject: Subject, subject_ids: Sequence[str]
    ) -> AsyncIterator[SubjectRecord | SubjectSummary]:
        self.asked.append((store, tenant_id, request_id, subject))
        self.subject_ids = list(subject_ids)
        for item in self.answers[store]:
            if isinstance(item, StoreError):
                raise item
            yield item


class EmptyAuditLog:
    """A log that nothing was written to."""

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]:
        return ()

    async def head(self, tenant_id: TenantId) -> Head:
        return Head(log_id_of(tenant_id), 0, GENESIS)

    async def logs(self) -> Sequence[TenantId]:
        return ()


class RecordedAudit:
    """An audit trail that keeps what it was told; with `fault` it refuses."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.fault: Exception | None = None

    async def record(self, entry: AuditEntry, *, timeout: float = 5.0) -> None:
        if self.fault is not None:
            raise self.fault
        self.entries.append(entry)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant_id() -> TenantId:
    """A tenant that no other test knows."""
    return TenantId(f"test-{uuid.uuid4().hex[:16]}")


@pytest.fixture
def scripted() -> ScriptedStores:
    return ScriptedStores()


@pytest.fixture
def recorded_audit() -> RecordedAudit:
    return RecordedAudit()


@pytest.fixture
def empty_audit_log() -> EmptyAuditLog:
    return EmptyAuditLog()


@pytest.fixture
def memory_requests() -> MemorySubjectRequests:
    return MemorySubjectRequests()


@pytest.fixture
def files(tmp_path: Path) -> ExportFiles:
    return ExportFiles(tmp_path / "exports")


@pytest.fixture
def officer(tenant_id: TenantId) -> Principal:
    return Principal(tenant_id, "key:officer", "machine", frozenset({Role.PRIVACY_OFFICER}), "officer")


@pytest.fixture
def keys() -> ExportKeyRing:
    return ExportKeyRing([ExportKey.of(os.urandom(32))])


@pytest.fixture
def new_request(tenant_id: TenantId, clock: FakeClock) -> Callable[..., NewRequest]:
    """A request as it is received; members can be given by name."""

    def make(**changes: Any) -> NewRequest:
        members: dict[str, Any] = {
            "tenant_id": tenant_id,
            "request_id": UUID(str(uuid7())),
            "kind": RequestKind.ACCESS,
            "regime": "gdpr",
            "particulars": Particulars(Subject(("user-1",), ("cookie-1",)), "ticket-1", "because"),
            "recipient": None,
            "requested_by": "key:officer",
            "idempotency_key": None,
            "body_digest": b"d" * 32,
            "received_at": clock(),
            "due_at": clock() + timedelta(days=30),
        }
        return NewRequest(**(members | changes))

    return make


@pytest.fixture
def audit_entry(tenant_id: TenantId) -> Callable[..., AuditEntry]:
    def make(action: str = "test.action", **changes: Any) -> AuditEntry:
        members: dict[str, Any] = {
            "tenant_id": tenant_id,
            "actor": "key:officer",
            "actor_kind": "machine",
            "action": action,
            "object_ref": "subject_request/1",
            "outcome": "success",
            "service": "compliance",
        }
        return AuditEntry(**(members | changes))

    return make


@pytest.fixture
def a_receipt() -> Callable[..., StoreReceipt]:
    def make(store: str, records: int = 1) -> StoreReceipt:
        processing = (Processing("thing", "to test", "Art. 6(1)(f)", "a day"),)
        return StoreReceipt(
            store, records, {"thing": records} if records else {}, 10 * records, "ab" * 32, "all of it", processing
        )

    return make


# ── the running mesh
# ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def mesh_settings() -> Iterator[Settings]:
    """Compliance's settings in the running mesh, with a database of its own: a log that a test falsified must not stay.

    Without a mesh this fails and says what to start.
    """
    from weir_local.addresses import environment_of
    from weir_local.cli import this_mesh
    from weir_local.components.postgres import SUPERUSER

    mesh = this_mesh()
    environment = environment_of(mesh, "compliance")
    database = f"weir_test_compliance_{uuid.uuid4().hex[:12]}"
    for name in ("WEIR_COMPLIANCE_POSTGRES__DSN", "WEIR_COMPLIANCE_POSTGRES__OWNER_DSN"):
        environment[name] = environment[name].rpartition("/")[0] + f"/{database}"
    host = environment["WEIR_COMPLIANCE_POSTGRES__DSN"].rpartition("@")[2].partition("/")[0]
    superuser = f"postgresql://{SUPERUSER}:{mesh.secret('postgres-superuser')}@{host}"
    asyncio.run(_execute(f"{superuser}/postgres", f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'"))
    try:
        asyncio.run(_execute(f"{superuser}/{database}", *_AS_THE_LAUNCHER_DOES))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            settings = Settings()
        yield settings
    finally:
        asyncio.run(_execute(f"{superuser}/postgres", f"DROP DATABASE {database} WITH (FORCE)"))


_AS_THE_LAUNCHER_DOES = (
    "CREATE SCHEMA compliance AUTHORIZATION weir_compliance_owner",
    "GRANT USAGE ON SCHEMA compliance TO weir_compliance",
    "ALTER DEFAULT PRIVILEGES FOR ROLE weir_compliance_owner IN SCHEMA compliance "
    "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO weir_compliance",
    "ALTER DEFAULT PRIVILEGES FOR ROLE weir_compliance_owner IN SCHEMA compliance "
    "GRANT USAGE, SELECT ON SEQUENCES TO weir_compliance",
)


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


@pytest.fixture
async def pool(mesh_settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """The application role on the mesh's PostgreSQL, schema up to date."""
    await migrate(mesh_settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_compliance")
    async with postgres_pool(mesh_settings.postgres, "compliance-test") as opened:
        yield opened


@pytest.fixture
async def owner(mesh_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the schema: who could falsify the log."""
    connection = await asyncpg.connect(
        mesh_settings.postgres.owner_dsn.get_secret_value(), timeout=5, command_timeout=10
    )
    yield connection
    await connection.close(timeout=5)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def requests(request: pytest.FixtureRequest, keys: ExportKeyRing) -> Any:
    """Each implementation of `SubjectRequests`."""
    if request.param == "memory":
        return MemorySubjectRequests()
    return PostgresSubjectRequests(request.getfixturevalue("pool"), keys, TEST_QUEUE, lambda: None)


@pytest.fixture
def staging() -> tuple[str, str]:
    """A fresh age identity: secret, recipient."""
    return new_identity()
