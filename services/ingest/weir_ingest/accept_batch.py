"""Accept a batch: one result an event, in order; accepted only after the log's acknowledgement.

Receipts are looked up before and written after the acknowledgement. Claiming an id first would turn a failed write into a
"duplicate" on retry, and lose the event. What slips through the gap reaches the log twice and is dropped by each consumer.

In between personal data are taken out and sealed. Without the vault nothing is written, and the events are told to come again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import msgspec
import structlog
from weir_common.consent import header_value
from weir_common.errors import RetryError
from weir_common.events import Event, encode_event, subject_of
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.records import (
    ACCEPTED_AT_HEADER,
    CONSENT_HEADER,
    EVENT_SUBTYPE_HEADER,
    EVENT_TYPE_HEADER,
    SCHEMA_VERSION_HEADER,
    OutgoingRecord,
    Position,
    event_headers,
)
from weir_common.kafka.topics import EVENTS
from weir_common.ledger import MINUTE_LENGTH
from weir_common.privacy.errors import VaultUnavailable
from weir_common.problems import FieldError, Forbidden, Unavailable
from weir_common.telemetry import meter, traceparent_of

from weir_ingest.domain.bodies import SentEvent
from weir_ingest.domain.drift import DriftPlaces
from weir_ingest.domain.quarantine import Refusal
from weir_ingest.domain.receipt import KeptReceipt, Receipt, receipt_consent
from weir_ingest.domain.validate import InvalidEvent, ValidEvent, validate
from weir_ingest.give_way import GiveWay, Way
from weir_ingest.ports import Book, Drift, EventLog, Protect, Quarantine, ReceiptStore
from weir_ingest.settings import BatchLimits

log = structlog.get_logger(__name__)

_EVENTS_A_STEP = 2
"""After so many the others of the loop have their turn: a batch of a thousand would keep them waiting for a fifth of a second."""


class Status(StrEnum):
    """The fate of an event at the door."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    NOT_TAKEN = "not_taken"
    THROTTLED = "throttled"
    QUARANTINED = "quarantined"


class EventResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event's result.

    ``unavailable``: the log did not acknowledge in time, send the event again. ``not_taken``: nothing is wrong with it, but
    with another of the same atomic request. ``throttled``: the tenant's quota is used up, send it again later.
    ``quarantined``: as wrong as ``invalid``, but kept, to be mended and sent on by ``quarantine_id``.
    """

    index: int
    status: Status
    event_id: str = ""
    receipt: Receipt | None = None
    errors: list[FieldError] = []
    quarantine_id: UUID | None = None


class TenantMismatch(Forbidden):
    """An event names another tenant than the credential; nothing of the request was taken."""

    slug = "tenant-mismatch"
    title = "The data belong to another tenant"


class AcceptBatch:
    """The use case. Bounded: above ``max_events_in_flight``, or after ``turn_timeout_seconds``, batches are told to come back."""

    def __init__(
        self,
        event_log: EventLog,
        protect: Protect,
        receipts: ReceiptStore,
        book: Book,
        quarantine: Quarantine,
        drift: Drift,
        limits: BatchLimits,
        give_way: GiveWay,
    ) -> None:
        self._give_way = give_way
        self._quarantine = quarantine
        self._drift = drift
        self._log = event_log
        self._protect = protect
        self._receipts = receipts
        self._book = book
        self._limits = limits
        self._in_flight = 0
        self._turn = asyncio.Semaphore(limits.max_batches_at_once)
        self._places = DriftPlaces()
        create = meter()
        self._results = create.create_counter(
            "weir.ingest.events", unit="{event}", description="Events by their fate at the door"
        )
        self._unknown = create.create_counter(
            "weir.ingest.unknown.fields",
            unit="{event}",
            description="Events with a field that their schema does not know",
        )
        self._versions = create.create_counter(
            "weir.ingest.schema.versions",
            unit="{event}",
            description="Valid events by the version in which they were sent",
        )
        self._refusals = create.create_counter(
            "weir.ingest.consent.refusals",
            unit="{event}",
            description="Accepted events whose subject refused a consent",
        )
        self._withheld = create.create_counter(
            "weir.ingest.consent.withheld",
            unit="{event}",
            description="Accepted events that a purpose does not get, for a consent that was refused",
        )
        self._receipt_faults = create.create_counter(
            "weir.ingest.receipt.failures", unit="{batch}", description="Receipt look-ups or writes that failed"
        )
        self._turned_away = create.create_counter(
            "weir.ingest.overloaded", unit="{batch}", description="Batches that waited too long for their turn"
        )
        self._waited = create.create_histogram(
            "weir.ingest.turn.duration", unit="s", description="How long a batch waited for its turn"
        )
        self._duration = create.create_histogram(
            "weir.ingest.acknowledge.duration",
            unit="s",
            description="From the log's first record to its last acknowledgement",
        )

    async def __call__(
        self,
        tenant_id: TenantId,
        events: Sequence[SentEvent],
        *,
        atomic: bool = False,
        granted: int | None = None,
        quarantine: bool = False,
    ) -> list[EventResult]:
        """Results in the order of ``events``. Raises ``TenantMismatch`` (nothing taken) or ``Unavailable`` (overload).

        ``granted``: how many the quota has room for, from the first on; the others are throttled without a look at them.

        ``atomic``: one invalid event and none is taken; and if the log does not acknowledge all, none is reported as accepted
        (those that it has are on the log, and are duplicates when the request is repeated).

        ``quarantine``: keep what is refused; not with ``atomic``, whose sender keeps all of it.
        """
        if self._in_flight + len(events) > self._limits.max_events_in_flight:
            raise Unavailable("Too many events are in flight; send the batch again.", slug="overloaded")
        way = self._give_way.of(tenant_id, len(events) if granted is None else granted)
        self._in_flight += len(events)
        try:
            # What the quota refuses whole is no work, and must not stand in line before what it lets in.
            if granted != 0:
                await way.pace()
            async with nullcontext() if granted == 0 else self._own_turn(way):
                now = datetime.now(UTC)
                accepted_at = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
                refused: dict[int, Refusal] = {}
                results = await self._accept(tenant_id, events[:granted], atomic, accepted_at, refused, way)
                if quarantine and not atomic and refused:
                    await self._keep(tenant_id, refused, results, now)
        finally:
            self._in_flight -= len(events)
        results += [EventResult(index, Status.THROTTLED) for index in range(len(results), len(events))]
        fates = Counter(str(result.status) for result in results)
        for status, count in fates.items():
            self._results.add(count, {"weir.tenant.id": tenant_id, "weir.ledger.fate": status})
        self._book.count(tenant_id, accepted_at[:MINUTE_LENGTH], fates)
        return results

    @asynccontextmanager
    async def _own_turn(self, way: Way) -> AsyncIterator[None]:
        """``Unavailable`` after ``turn_timeout_seconds``.

        More batches at once would not be done sooner: each would only stand longer between its look-up and its answer, until the
        stores' deadlines pass in this process and not in the stores.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._limits.turn_timeout_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            self._turned_away.add(1)
            raise Unavailable(
                "There is more to do than can be done now; send the batch again.", slug="overloaded"
            ) from error
        self._waited.record(time.perf_counter() - started)
        try:
            with way.at_work():
                yield
        finally:
            self._turn.release()

    async def _accept(
        self,
        tenant_id: TenantId,
        events: Sequence[SentEvent],
        atomic: bool,
        accepted_at: str,
        refused: dict[int, Refusal],
        way: Way,
    ) -> list[EventResult]:
        """Fills ``refused`` with what could be kept of invalid events, by their index."""
        results: dict[int, EventResult] = {}
        first_of: dict[EventId, int] = {}
        repeats: dict[int, EventId] = {}
        valid: dict[int, ValidEvent] = {}
        for index, raw in enumerate(events):
            if index % _EVENTS_A_STEP == _EVENTS_A_STEP - 1:
                await way.step()
            judged = raw if isinstance(raw, InvalidEvent) else validate(raw, max_bytes=self._limits.max_event_bytes)
            if judged.tenant_id and judged.tenant_id != tenant_id:
                raise TenantMismatch(
                    "An event names another tenant than the credential; nothing was taken, and the attempt was recorded.",
                    errors=[FieldError(f"/events/{index}/tenant_id", "the tenant of the credential", judged.tenant_id)],
                )
            if isinstance(judged, InvalidEvent):
                results[index] = EventResult(index, Status.INVALID, judged.event_id, errors=list(judged.errors))
                if judged.refusal is not None:
                    refused[index] = judged.refusal
            elif judged.event_id in first_of:
                repeats[index] = judged.event_id
            else:
                first_of[judged.event_id] = index
                valid[index] = judged
        if atomic and results:
            return [
                results.get(index)
                or EventResult(index, Status.NOT_TAKEN, (repeats.get(index) or valid[index].event_id))
                for index in range(len(events))
            ]
        self._count_drift(tenant_id, valid.values())
        known = await self._known(tenant_id, list(first_of))
        fresh = {index: event for index, event in valid.items() if event.event_id not in known}
        for index, event in valid.items():
            if event.event_id in known:
                results[index] = EventResult(index, Status.DUPLICATE, event.event_id, known[event.event_id].receipt)
        results.update(await self._append(tenant_id, fresh, accepted_at, way))
        if atomic and any(result.status is Status.UNAVAILABLE for result in results.values()):
            return [
                EventResult(index, Status.UNAVAILABLE, repeats.get(index) or valid[index].event_id)
                for index in range(len(events))
            ]
        for index, event_id in repeats.items():
            first = results[first_of[event_id]]
            # A repeat inside the batch shares the fate of the first: also its failure, so that both are sent again.
            status = Status.DUPLICATE if first.status is Status.ACCEPTED else first.status
            results[index] = EventResult(index, status, event_id, first.receipt)
        return [results[index] for index in range(len(events))]

    async def _keep(
        self, tenant_id: TenantId, refused: Mapping[int, Refusal], results: list[EventResult], refused_at: datetime
    ) -> None:
        """What is kept is no longer invalid but quarantined; what is not stays its sender's to mend."""
        kept = await self._quarantine.keep(tenant_id, list(refused.values()), refused_at)
        for index, quarantine_id in zip(refused, kept, strict=True):
            if quarantine_id is not None:
                results[index] = msgspec.structs.replace(
                    results[index], status=Status.QUARANTINED, quarantine_id=quarantine_id
                )

    def _count_drift(self, tenant_id: TenantId, events: Iterable[ValidEvent]) -> None:
        """Which versions come, and which fields that no schema knows: what a merchant's release changed unannounced."""
        versions: Counter[str] = Counter()
        for event in events:
            versions[event.sent_version] += 1
            for place in event.unknown:
                name = self._places.name(tenant_id, place)
                self._unknown.add(1, {"weir.tenant.id": tenant_id, "weir.field": name})
                self._drift.count(tenant_id, event.sent_version, name)
        for version, count in versions.items():
            self._versions.add(count, {"weir.tenant.id": tenant_id, "weir.schema.version": version})

    async def _append(
        self, tenant_id: TenantId, fresh: dict[int, ValidEvent], accepted_at: str, way: Way
    ) -> dict[int, EventResult]:
        if not fresh:
            return {}
        try:
            protected = await self._protect(tenant_id, [event.event for event in fresh.values()], step=way.step)
        except VaultUnavailable as error:
            log.warning("the vault does not answer, events are refused", count=len(fresh), error=str(error))
            return {index: EventResult(index, Status.UNAVAILABLE, event.event_id) for index, event in fresh.items()}
        timestamp_ms = time.time_ns() // 1_000_000
        traceparent = traceparent_of()
        records: list[OutgoingRecord] = []
        for event, as_logged in zip(fresh.values(), protected, strict=True):
            if len(records) % _EVENTS_A_STEP == _EVENTS_A_STEP - 1:
                await way.step()
            records.append(self._record(tenant_id, event, as_logged, accepted_at, timestamp_ms, traceparent))
        started = time.perf_counter()
        outcomes = await self._log.try_publish_all(records, timeout=self._limits.acknowledge_timeout_seconds)
        self._duration.record(time.perf_counter() - started)
        results: dict[int, EventResult] = {}
        receipts: dict[EventId, KeptReceipt] = {}
        for (index, event), as_logged, outcome in zip(fresh.items(), protected, outcomes, strict=True):
            if isinstance(outcome, Position):
                consent = receipt_consent(event.refused)
                receipt = Receipt(outcome.topic, outcome.partition, outcome.offset, accepted_at, consent)
                key_id = SubjectId(as_logged.sealed.key_id) if as_logged.sealed is not None else None
                receipts[event.event_id] = KeptReceipt(receipt, key_id)
                results[index] = EventResult(index, Status.ACCEPTED, event.event_id, receipt)
            else:
                results[index] = EventResult(index, Status.UNAVAILABLE, event.event_id)
        self._count_refusals(tenant_id, [kept.receipt for kept in receipts.values()])
        await self._remember(tenant_id, receipts)
        return results

    def _count_refusals(self, tenant_id: TenantId, receipts: Iterable[Receipt]) -> None:
        refusals = Counter(receipt.consent for receipt in receipts if receipt.consent is not None)
        for consent, count in refusals.items():
            for refused in consent.refused:
                self._refusals.add(count, {"weir.tenant.id": tenant_id, "weir.consent": refused})
            for purpose in consent.withheld:
                self._withheld.add(count, {"weir.tenant.id": tenant_id, "weir.purpose": purpose})

    @staticmethod
    def _record(
        tenant_id: TenantId,
        event: ValidEvent,
        as_logged: Event,
        accepted_at: str,
        timestamp_ms: int,
        traceparent: str | None,
    ) -> OutgoingRecord:
        subject, data = subject_of(as_logged), as_logged.event_data
        return OutgoingRecord(
            topic=EVENTS,
            key=event_key(tenant_id, subject),
            value=encode_event(as_logged),
            partition=partition_of(tenant_id, subject),
            timestamp_ms=timestamp_ms,
            headers=event_headers(
                tenant_id,
                event.event_id,
                traceparent=traceparent,
                **{
                    EVENT_TYPE_HEADER: data.event_type,
                    EVENT_SUBTYPE_HEADER: data.event_subtype,
                    SCHEMA_VERSION_HEADER: as_logged.schema_version,
                    ACCEPTED_AT_HEADER: accepted_at,
                    **({CONSENT_HEADER: header_value(event.refused)} if event.refused else {}),
                },
            ),
        )

    async def _known(self, tenant_id: TenantId, event_ids: list[EventId]) -> dict[EventId, KeptReceipt]:
        if not event_ids:
            return {}
        try:
            return dict(await self._receipts.find(tenant_id, event_ids))
        except RetryError as error:
            # Without receipts a repeat is accepted once more and dropped downstream: late, but never lost.
            self._receipt_faults.add(1, {"weir.operation": "find"})
            log.warning("receipts cannot be read, repeats are left to the consumers", error=str(error))
            return {}

    async def _remember(self, tenant_id: TenantId, receipts: dict[EventId, KeptReceipt]) -> None:
        if not receipts:
            return
        try:
            await self._receipts.save(tenant_id, receipts)
        except RetryError as error:
            # The events are on the log; that their repeats will not be seen here is no reason to refuse them.
            self._receipt_faults.add(1, {"weir.operation": "save"})
            log.warning("receipts cannot be written", count=len(receipts), error=str(error))
