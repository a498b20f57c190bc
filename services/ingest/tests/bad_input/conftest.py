"""Ingest's real edges over stores in memory: the whole HTTP application, and the gRPC servicer, without a socket."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from weir.ingest.v1 import ingest_pb2
from weir_common.applied import PeerPositions
from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal, Role
from weir_common.direct_endpoint import DirectEndpoint, describe
from weir_common.errors import RetryError
from weir_common.events import Event, event_on_the_log
from weir_common.http import create_app
from weir_common.ids import SubjectId, TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.kafka.topics import EVENTS
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.privacy.reveal import reveal
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_ingest.accept_batch import AcceptBatch
from weir_ingest.adapters.memory_answers import MemoryAnswers
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.domain.quarantine import Refusal
from weir_ingest.domain.quota import Quota
from weir_ingest.drift_book import DriftBook
from weir_ingest.entrypoints.events_endpoint import PATH, EventsEndpoint
from weir_ingest.entrypoints.events_openapi import BATCH_SCHEMAS, batch_operation
from weir_ingest.entrypoints.grpc import IngestServicer
from weir_ingest.entrypoints.http import ingest_router
from weir_ingest.give_way import GiveWay
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.read_receipt import ReadReceipt
from weir_ingest.settings import BatchLimits
from weir_ingest.tenant_turns import TenantTurns

TENANT = TenantId("shop")
CALLER = Principal(TENANT, "key:1", "machine", frozenset({Role.INGEST}))
KEY = "the key"
LIMITS = BatchLimits(max_body_bytes=1_048_576)


class MemoryLog:
    """Takes everything."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        self.records += records
        return [Position(record.topic, 0, index) for index, record in enumerate(records)]


class FullQuarantine:
    """Has no room, so that what is refused is ``invalid``."""

    async def keep(self, tenant_id: TenantId, refusals: Sequence[Refusal], refused_at: datetime) -> list[UUID | None]:
        return [None] * len(refusals)


class MemoryAudit:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class OneKey:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        if api_key != KEY:
            raise Unauthenticated("no")
        return CALLER


class CallContext:
    """What the servicer reads of a call."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", KEY),)


class Door:
    """``post`` for HTTP, ``publish`` for gRPC; ``log`` is what was accepted, ``accepted`` the same with the seals opened."""

    def __init__(self) -> None:
        self.log, self.audit, self.receipts = MemoryLog(), MemoryAudit(), MemoryReceipts()
        self.drift = MemoryDrift()
        self.vault = vault_in_memory()
        accept = AcceptBatch(
            self.log,
            self.vault.protect,
            self.receipts,
            LedgerBook(self.log),
            FullQuarantine(),
            DriftBook(self.drift),
            LIMITS,
            GiveWay(lambda _: math.inf),
        )
        plenty = Quota(events_per_second=1e6, bytes_per_second=1e12)
        quota = GrantQuota(MemoryQuotas(lambda: 0.0), lambda _: plenty)
        keys: Any = OneKey()
        audit: Any = self.audit
        app = create_app(
            service="ingest",
            title="Weir ingest",
            description="",
            readiness=Readiness(),
            authenticator=keys,
            audit=audit,
            max_body_bytes=LIMITS.max_body_bytes,
        )
        read_receipt = ReadReceipt(self.receipts, PeerPositions({}), self.vault.vault)
        app.include_router(ingest_router(read_receipt, self.drift))
        describe(app, "POST", PATH, batch_operation(), schemas=BATCH_SCHEMAS)

        class NoMeter:
            def count(self, *counted: object, **more: object) -> None: ...

        no_meter: Any = NoMeter()
        self.app = DirectEndpoint(
            app,
            EventsEndpoint(accept, quota, MemoryAnswers(), audit, LIMITS),
            method="POST",
            path=PATH,
            action=Action.EVENTS_WRITE,
            authenticator=keys,
            audit=audit,
            meter=no_meter,
            max_body_bytes=LIMITS.max_body_bytes,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://weir", headers={"x-api-key": KEY}
        )
        self.servicer = IngestServicer(accept, quota, TenantTurns(LIMITS), read_receipt, keys, audit, LIMITS)

    async def post(
        self,
        body: bytes,
        media_type: str = "application/json",
        headers: Sequence[tuple[str, str]] = (),
        query: str = "",
    ) -> httpx.Response:
        """One request to the batch route. ``headers`` may name one twice."""
        return await self.client.post(
            PATH + query, content=body, headers=httpx.Headers([("content-type", media_type), *headers])
        )

    async def accepted(self) -> list[Event]:
        """The events on the log, as they were sent: with what was sealed of them."""
        found: list[Event] = []
        for record in self.log.records:
            if record.topic != EVENTS:
                continue
            event = event_on_the_log(record.value or b"")
            if event.sealed is not None:
                subject_id = SubjectId(event.sealed.key_id)
                event = reveal(event, await self.vault.vault.open_key(TENANT, subject_id))
            found.append(event)
        return found

    async def publish(self, *events: bytes) -> Sequence[Any]:
        """The results of one request on a gRPC stream."""

        async def requests() -> AsyncIterator[ingest_pb2.PublishRequest]:
            yield ingest_pb2.PublishRequest(tenant_id=TENANT, sequence=1, events=events)

        answers = [answer async for answer in self.servicer.Publish(requests(), CallContext())]  # type: ignore[arg-type]
        assert len(answers) == 1
        return answers[0].results  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def opened() -> Door:
    """Made once: an application takes longer to make than hundreds of requests to answer."""
    return Door()


@pytest.fixture
def door(opened: Door) -> Door:
    opened.log.records.clear()
    opened.audit.entries.clear()
    return opened


class MakeEvent:
    """A small valid event, each with an id of its own."""

    def __call__(self, **changes: Any) -> dict[str, Any]:
        return {
            "schema_version": "2.2",
            "tenant_id": TENANT,
            "event_metadata": {
                "event_id": str(uuid.uuid4()),
                "timestamp": "2026-01-15T10:30:00Z",
                "source_system": "web_app",
            },
            "event_data": {"event_type": "transaction", "event_subtype": "purchase"},
            **changes,
        }


@pytest.fixture
def event() -> MakeEvent:
    return MakeEvent()
