"""``IngestService`` for internal systems, and the (empty) answer of ingest about a data subject."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
from weir.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.audit import AuditTrail
from weir_common.auth import Action, Authenticator, Principal
from weir_common.errors import RetryError
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.problems import FieldError, Forbidden, InvalidRequest, PayloadTooLarge, Unavailable

from weir_ingest.accept_batch import AcceptBatch, EventResult, Status, TenantMismatch
from weir_ingest.domain.fate import FateState
from weir_ingest.domain.receipt import Receipt
from weir_ingest.entrypoints.tenant_mismatch import audit_mismatch
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.ports import QuarantineStore, Seal
from weir_ingest.read_receipt import ReadReceipt
from weir_ingest.settings import BatchLimits
from weir_ingest.tenant_turns import TenantTurns

_MAX_EXPORTED = 100_000
_STATUS = {
    Status.ACCEPTED: ingest_pb2.EVENT_STATUS_ACCEPTED,
    Status.DUPLICATE: ingest_pb2.EVENT_STATUS_DUPLICATE,
    Status.INVALID: ingest_pb2.EVENT_STATUS_INVALID,
    Status.UNAVAILABLE: ingest_pb2.EVENT_STATUS_UNAVAILABLE,
    Status.NOT_TAKEN: ingest_pb2.EVENT_STATUS_NOT_TAKEN,
    Status.THROTTLED: ingest_pb2.EVENT_STATUS_THROTTLED,
    Status.QUARANTINED: ingest_pb2.EVENT_STATUS_QUARANTINED,
}
_FATE = {
    FateState.DONE: ingest_pb2.FATE_STATE_DONE,
    FateState.PENDING: ingest_pb2.FATE_STATE_PENDING,
    FateState.UNKNOWN: ingest_pb2.FATE_STATE_UNKNOWN,
}
_ERASURE = {
    "none": ingest_pb2.ERASURE_NONE,
    "done": ingest_pb2.ERASURE_DONE,
    "unknown": ingest_pb2.ERASURE_UNKNOWN,
}


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """Same contract as the HTTP edge; the credential rides in the metadata."""

    def __init__(
        self,
        accept: AcceptBatch,
        quota: GrantQuota,
        turns: TenantTurns,
        read_receipt: ReadReceipt,
        authenticator: Authenticator,
        audit: AuditTrail,
        limits: BatchLimits,
    ) -> None:
        self._accept = accept
        self._quota = quota
        self._turns = turns
        self._read_receipt = read_receipt
        self._authenticator = authenticator
        self._audit = audit
        self._limits = limits

    async def PublishBatch(  # noqa: N802 - the name is the protocol's
        self, request: ingest_pb2.PublishBatchRequest, context: grpc.aio.ServicerContext
    ) -> ingest_pb2.PublishBatchResponse:
        """One result an event, in order."""
        results = await self._take(context, request)
        return ingest_pb2.PublishBatchResponse(results=[_result(result) for result in results])

    async def Publish(  # noqa: N802 - the name is the protocol's
        self, request_iterator: AsyncIterator[ingest_pb2.PublishRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[ingest_pb2.PublishResponse]:
        """One response a request, in order; the next request is read when the last is answered."""
        async for request in request_iterator:
            try:
                results = await self._take(context, request)
            except Unavailable:
                # An overload concerns this request, not the stream: what comes next may find room.
                results = [EventResult(index, Status.UNAVAILABLE) for index in range(len(request.events))]
            yield ingest_pb2.PublishResponse(sequence=request.sequence, results=[_result(result) for result in results])

    async def _take(
        self,
        context: grpc.aio.ServicerContext,
        request: ingest_pb2.PublishBatchRequest | ingest_pb2.PublishRequest,
    ) -> list[EventResult]:
        events, atomic = request.events, request.atomic
        caller, tenant_id = self._caller(context, request.tenant_id, Action.EVENTS_WRITE)
        if not events:
            raise InvalidRequest("The batch is empty.", errors=[FieldError("/events", "at least one event", "none")])
        if len(events) > self._limits.max_events:
            raise PayloadTooLarge(f"A batch may hold at most {self._limits.max_events} events.")
        sizes = [len(event) for event in events]
        async with self._turns.turn(tenant_id, sum(sizes)):
            # The message is already read here, so each event gets its result; what a pause saves is the question to the shared buckets.
            grant = self._quota.paused(tenant_id) or await self._quota(tenant_id, sizes, atomic=atomic)
            try:
                return await self._accept(
                    tenant_id,
                    list(events),
                    atomic=atomic,
                    granted=grant.events,
                    quarantine=not request.without_quarantine,
                )
            except TenantMismatch:
                await audit_mismatch(self._audit, caller, tenant_id, "grpc IngestService")
                raise

    async def GetReceipt(  # noqa: N802 - the name is the protocol's
        self, request: ingest_pb2.GetReceiptRequest, context: grpc.aio.ServicerContext
    ) -> ingest_pb2.GetReceiptResponse:
        """NOT_FOUND when the event was not accepted within the window, UNAVAILABLE when that cannot be said now."""
        _, tenant_id = self._caller(context, request.tenant_id, Action.EVENTS_READ)
        fate = await self._read_receipt(tenant_id, request.event_id)
        return ingest_pb2.GetReceiptResponse(
            receipt=_receipt(fate.receipt),
            fates=[ingest_pb2.Fate(stage=one.stage, by=one.by, state=_FATE[one.state]) for one in fate.fates],
            erasure=_ERASURE[fate.erasure.state],
        )

    def _caller(self, context: grpc.aio.ServicerContext, tenant_id: str, action: Action) -> tuple[Principal, TenantId]:
        caller = caller_of(context, self._authenticator, action)
        if caller.tenant_id is None or caller.tenant_id != tenant_id:
            raise Forbidden("The credential belongs to another tenant.")
        return caller, caller.tenant_id


class IngestSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Refused events that are about the subject. Receipts hold no subject."""

    def __init__(self, store: QuarantineStore, seal: Seal) -> None:
        self._store = store
        self._seal = seal

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Oldest first, then one summary. ``UNAVAILABLE`` when the quarantine cannot be read."""
        tenant_id = TenantId(request.tenant_id)
        indexes = [
            self._seal.index(tenant_id, subject)
            for subject in (*request.subject.user_ids, *request.subject.anonymous_ids)
        ]
        try:
            held = await self._store.of_subjects(tenant_id, indexes, limit=_MAX_EXPORTED)
        except RetryError as error:
            raise Unavailable("The quarantine cannot be read now.") from error
        for event in held:
            text = self._seal.open(tenant_id, event.quarantine_id, event.sealed or b"")
            yield subject_data_pb2.ExportSubjectResponse(
                record=subject_data_pb2.SubjectRecord(
                    category="ingest.refused_event", record_id=str(event.quarantine_id), json=text
                )
            )
        explanation = "Receipts are kept for 24 hours by event id and name no subject."
        if len(held) == _MAX_EXPORTED:
            explanation = f"The oldest {_MAX_EXPORTED} refused events; there are more in the quarantine. {explanation}"
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=len(held),
                explanation=explanation,
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category="ingest.refused_event",
                        purpose="Mending of events that were sent with mistakes",
                        legal_basis="legitimate interest (Art. 6(1)(f) GDPR)",
                        retention="until mended or discarded, at most 14 days after the last refusal",
                    )
                ],
            )
        )


def _result(result: EventResult) -> ingest_pb2.EventResult:
    return ingest_pb2.EventResult(
        status=_STATUS[result.status],
        event_id=result.event_id,
        quarantine_id=str(result.quarantine_id or ""),
        receipt=_receipt(result.receipt) if result.receipt is not None else None,
        errors=[
            ingest_pb2.FieldError(pointer=error.pointer, expected=error.expected, got=error.got)
            for error in result.errors
        ],
    )


def _receipt(receipt: Receipt) -> ingest_pb2.Receipt:
    consent = receipt.consent
    return ingest_pb2.Receipt(
        topic=receipt.topic,
        partition=receipt.partition,
        offset=receipt.offset,
        accepted_at=receipt.accepted_at,
        refused=consent.refused if consent is not None else (),
        withheld=consent.withheld if consent is not None else (),
    )
