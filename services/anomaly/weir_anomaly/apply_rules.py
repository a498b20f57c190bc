"""The use case: a micro-batch of events becomes new states, findings and announcements, all in one transaction."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
from opentelemetry import trace
from weir_common.errors import QuarantineError
from weir_common.ids import EventId, TenantId, uuid7
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import OutgoingRecord, Record, event_headers
from weir_common.kafka.topics import FINDINGS
from weir_common.telemetry import context_of, meter, traceparent_of, tracer

from weir_anomaly.domain.casebook import Casebook
from weir_anomaly.domain.engine import Engine, StateKey, Woken
from weir_anomaly.domain.event import Event, EventDecoder
from weir_anomaly.domain.finding import FindingChanged
from weir_anomaly.entrypoints.documents import finding_document
from weir_anomaly.errors import UndecodableEvent
from weir_anomaly.ports import OpenCaseFiles

SWEEP_SECONDS: Final = 1.0


class ApplyRules:
    """See ``BatchHandler``."""

    def __init__(self, engine: Engine, open_case_files: OpenCaseFiles) -> None:
        self._engine = engine
        self._open = open_case_files
        self._swept: dict[TenantId, float] = {}
        self._decoder = EventDecoder()
        create = meter()
        self._changes = create.create_counter(
            "weir.anomaly.findings", unit="{change}", description="Findings opened, grown worse, closed"
        )
        self._duration = create.create_histogram(
            "weir.anomaly.rules.duration", unit="s", description="All rules over one micro-batch of one tenant"
        )

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """Events by tenant: one read and one write of states for each."""
        by_tenant: dict[TenantId, list[tuple[Record, Event]]] = defaultdict(list)
        for record in batch:
            by_tenant[record.tenant_id].append((record, self._decode(record)))
        for tenant_id, events in sorted(by_tenant.items()):
            await transaction.as_tenant(tenant_id)
            await self._apply_tenant(tenant_id, events, transaction)

    def _decode(self, record: Record) -> Event:
        try:
            event = self._decoder.decode(
                record.value, accepted_at=record.accepted_at.timestamp(), partition=record.partition
            )
        except UndecodableEvent as error:
            error.record = record
            raise
        if event.tenant_id != record.tenant_id:
            raise QuarantineError("tenant_mismatch", "header and body name different tenants", record=record)
        return event

    async def _apply_tenant(
        self, tenant_id: TenantId, events: Sequence[tuple[Record, Event]], transaction: Transaction
    ) -> None:
        files = self._open(transaction, tenant_id)
        traceparents = {event.event_id: transaction.traceparent_of(record) for record, event in events}
        woken: list[Woken] = [self._engine.wake(event) for _, event in events]
        keys = {key for one in woken for _, entities in one.rules for key in entities} | {
            one.clock_key for one in woken
        }
        stored = await files.states(keys)
        started = time.perf_counter()
        outcome = self._engine.fold(woken, stored)
        self._duration.record(time.perf_counter() - started)
        if outcome.states:
            await files.save_states(outcome.states)
        if not outcome.hits and not self._sweep_is_due(tenant_id):
            return
        hit_keys = {StateKey(found.rule.name, hit.entity) for found in outcome.hits for hit in found.hits}
        known = await files.findings(hit_keys, {key.entity for key in hit_keys}, outcome.watermark)
        if not known and not outcome.hits:
            return
        casebook = Casebook(
            known, now=time.time(), new_id=uuid7, traceparent_of=lambda event: traceparents.get(event.event_id)
        )
        for found in outcome.hits:
            casebook.judge(found)
        casebook.close_quiet(outcome.watermark)
        if casebook.touched:
            await files.save_findings(list(casebook.touched.values()))
        for change in casebook.changes:
            transaction.outbox(self._announce(tenant_id, change))

    def _sweep_is_due(self, tenant_id: TenantId) -> bool:
        """Whether to look for findings that have gone quiet; without a hit that is soon enough once a second."""
        now = time.monotonic()
        if now - self._swept.get(tenant_id, 0.0) < SWEEP_SECONDS:
            return False
        self._swept[tenant_id] = now
        return True

    def _announce(self, tenant_id: TenantId, change: FindingChanged) -> OutgoingRecord:
        finding = change.finding
        self._changes.add(
            1,
            {"weir.tenant.id": tenant_id, "weir.anomaly.rule": finding.rule, "weir.anomaly.change": change.change},
        )
        traceparent = finding.traceparent
        context = context_of(traceparent)
        if context is not None and change.change == "opened":
            # In the trace of the event that opened it, so that one can see from a payment what came of it.
            with tracer().start_as_current_span(
                "open finding",
                context=context,
                attributes={
                    "weir.tenant.id": tenant_id,
                    "weir.anomaly.rule": finding.rule,
                    "weir.anomaly.severity": finding.severity,
                },
            ) as span:
                traceparent = traceparent_of(trace.set_span_in_context(span)) or traceparent
        return OutgoingRecord(
            topic=FINDINGS,
            key=f"{tenant_id}\x00{finding.finding_id}".encode(),
            value=msgspec.json.encode({"change": change.change, "finding": finding_document(finding)}),
            headers=event_headers(
                tenant_id, EventId(f"{finding.finding_id}:{finding.sequence}"), traceparent=traceparent
            ),
        )
