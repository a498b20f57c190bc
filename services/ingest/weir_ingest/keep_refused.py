"""Keep what was refused: sealed, on the log before its sender hears of it, and no more than the tenant has room for."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId, uuid7
from weir_common.kafka.records import OutgoingRecord, Position, event_headers
from weir_common.kafka.topics import REFUSED
from weir_common.telemetry import meter, traceparent_of

from weir_ingest.domain.quarantine import Refusal, RefusedEvent, quarantine_id_of
from weir_ingest.ports import EventLog, QuarantineStore, Seal
from weir_ingest.settings import QuarantineLimits

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0
_FORGET_SECONDS = 300.0
_MAX_TENANTS = 10_000


class QuarantineRoom:
    """Which tenants have room. Asks the store every few seconds about those that had refusals lately; never at the door.

    So a quarantine may hold what comes in five seconds more than its limit. While the store does not answer, what was known
    last holds: the log keeps the refusals until the store is back.
    """

    def __init__(self, store: QuarantineStore, limits: QuarantineLimits) -> None:
        self._store = store
        self._limits = limits
        self._asked: OrderedDict[TenantId, float] = OrderedDict()
        self._full: set[TenantId] = set()

    def has_room(self, tenant_id: TenantId) -> bool:
        """As far as is known; the tenant is watched from now on."""
        self._asked[tenant_id] = time.monotonic()
        self._asked.move_to_end(tenant_id)
        if len(self._asked) > _MAX_TENANTS:
            forgotten, _ = self._asked.popitem(last=False)
            self._full.discard(forgotten)
        return tenant_id not in self._full

    async def look(self) -> None:
        """Ask once about every watched tenant."""
        long_ago = time.monotonic() - _FORGET_SECONDS
        for tenant_id, asked in list(self._asked.items()):
            if asked < long_ago:
                self._asked.pop(tenant_id, None)
                self._full.discard(tenant_id)
                continue
            events, size = await self._store.usage(tenant_id, at_most=self._limits.max_events)
            full = events >= self._limits.max_events or size >= self._limits.max_bytes
            if full and tenant_id not in self._full:
                log.warning("the quarantine is full", tenant_id=tenant_id, events=events, bytes=size)
            (self._full.add if full else self._full.discard)(tenant_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop``."""
        while not stop.is_set():
            try:
                await self.look()
            except RetryError as error:
                log.warning("the room in the quarantine is not known", error=str(error))
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue


class KeepRefused:
    """See ``Quarantine``."""

    def __init__(self, event_log: EventLog, seal: Seal, room: QuarantineRoom, limits: QuarantineLimits) -> None:
        self._log = event_log
        self._seal = seal
        self._room = room
        self._limits = limits
        self._not_kept = meter().create_counter(
            "weir.ingest.quarantine.not_kept",
            unit="{event}",
            description="Refused events that could not be kept: no room, or the log did not answer",
        )

    async def keep(self, tenant_id: TenantId, refusals: Sequence[Refusal], refused_at: datetime) -> list[UUID | None]:
        """See ``Quarantine.keep``."""
        if not self._room.has_room(tenant_id):
            self._not_kept.add(len(refusals), {"weir.tenant.id": tenant_id, "weir.reason": "full"})
            return [None] * len(refusals)
        ids = [quarantine_id_of(self._seal.fingerprint(tenant_id, refusal.text)) for refusal in refusals]
        traceparent = traceparent_of()
        records = [
            self._record(tenant_id, quarantine_id, refusal, refused_at, traceparent)
            for quarantine_id, refusal in zip(ids, refusals, strict=True)
        ]
        outcomes = await self._log.try_publish_all(records, timeout=self._limits.acknowledge_timeout_seconds)
        kept = [
            quarantine_id if isinstance(outcome, Position) else None
            for quarantine_id, outcome in zip(ids, outcomes, strict=True)
        ]
        if lost := kept.count(None):
            self._not_kept.add(lost, {"weir.tenant.id": tenant_id, "weir.reason": "log"})
        return kept

    def _record(
        self,
        tenant_id: TenantId,
        quarantine_id: UUID,
        refusal: Refusal,
        refused_at: datetime,
        traceparent: str | None,
    ) -> OutgoingRecord:
        value = RefusedEvent(
            quarantine_id=quarantine_id,
            tenant_id=tenant_id,
            refused_at=refused_at,
            size=len(refusal.text),
            reasons=list(refusal.reasons),
            sealed=self._seal.close(tenant_id, quarantine_id, refusal.text),
            event_id=refusal.event_id,
            event_type=refusal.event_type,
            schema_version=refusal.schema_version,
            subjects=[self._seal.index(tenant_id, subject) for subject in refusal.subjects],
        )
        return OutgoingRecord(
            topic=REFUSED,
            key=tenant_id.encode(),
            value=msgspec.json.encode(value),
            # Each sighting is a record of its own: the same text twice is counted twice.
            headers=event_headers(tenant_id, EventId(str(uuid7())), traceparent=traceparent),
        )
