"""``SubjectDataService`` of fraud: the decisions about a person, what became of them, and the payments that the histories still hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc.aio
import msgspec
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.label import Label
from weir_fraud.domain.payment import (
    AMOUNT_UNITS,
    DEGREE_UNITS,
    MISSING_AMOUNT,
    MISSING_PLACE,
    OBSERVATION_BYTES,
    known_user,
    moment_of,
    pack,
    unpack,
    visitor,
)
from weir_fraud.entrypoints.documents import decision_document
from weir_fraud.ports import CaseStore, DecisionStore, FeatureStore, ImportedPayments, LabelStore, Notes, PolicyStore

DECISION: Final = "fraud.decision"
IMPORTED: Final = "fraud.imported_payment"
HISTORY: Final = "fraud.payment_history"
LABEL: Final = "fraud.label"
CASE: Final = "fraud.case"
LIST_ENTRY: Final = "fraud.policy_entry"
_EVENTS_AT_ONCE: Final = 200


class FraudSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Called by compliance; everything that names the subject."""

    def __init__(
        self,
        decisions: DecisionStore,
        features: FeatureStore,
        policies: PolicyStore,
        labels: LabelStore,
        cases: CaseStore,
        notes: Notes,
        imports: ImportedPayments,
    ) -> None:
        self._decisions = decisions
        self._features = features
        self._policies = policies
        self._labels = labels
        self._cases = cases
        self._notes = notes
        self._imports = imports

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Decisions with their explanation (GDPR Art. 15(1)(h): the logic involved) and what became of them, the history, list entries, the summary."""
        tenant_id = TenantId(request.tenant_id)
        # By the ids on the log; the merchant's own are those of decisions from before events were protected.
        user_ids = [*request.subject.subject_ids, *request.subject.user_ids]
        anonymous_ids = [*request.subject.subject_ids, *request.subject.anonymous_ids]
        if not tenant_id or not (user_ids or anonymous_ids):
            raise InvalidRequest(
                "Not a subject.", errors=[FieldError("/subject", "a tenant and at least one identifier", "none")]
            )
        records = 0
        decided: list[EventId] = []
        async for decision in self._decisions.of_subject(tenant_id, user_ids, anonymous_ids):
            records += 1
            document = decision_document(decision) | {
                "user_id": decision.user_id,
                "anonymous_id": decision.anonymous_id,
                "amount": decision.amount,
                "currency": decision.currency,
                "country": decision.country,
                "billing_country": decision.billing_country,
                "shipping_country": decision.shipping_country,
                "payment_declined": decision.declined,
            }
            yield _record(DECISION, decision.event_id, document)
            decided.append(decision.event_id)
            if len(decided) == _EVENTS_AT_ONCE:
                async for record in self._afterwards(tenant_id, decided):
                    records += 1
                    yield record
                decided = []
        async for record in self._afterwards(tenant_id, decided):
            records += 1
            yield record
        users = [*map(known_user, user_ids), *map(visitor, anonymous_ids)]
        async for found in self._of_imports(tenant_id, users):
            records += 1
            yield found
        history = await self._features.history(tenant_id, users)
        for start in range(0, len(history), OBSERVATION_BYTES):
            packed = history[start : start + OBSERVATION_BYTES]
            records += 1
            yield _record(HISTORY, packed[:14].hex(), _observed(packed))
        for waiting in await self._decisions.unobserved(tenant_id, user_ids, anonymous_ids):
            records += 1
            yield _record(HISTORY, pack(waiting)[:14].hex(), _observed(pack(waiting)))
        for version, state, which, entry in await self._policies.entries_of_subject(
            tenant_id, [*dict.fromkeys([*user_ids, *anonymous_ids])]
        ):
            records += 1
            document = {
                "version": version or None,
                "state": "draft" if state is None else state.value,
                "list": which,
                "kind": entry.kind.value,
                "reason": entry.reason,
                "expires_at": entry.expires_at,
            }
            yield _record(LIST_ENTRY, f"{version}:{which}:{entry.kind.value}", document)
        yield subject_data_pb2.ExportSubjectResponse(summary=_summary(records))

    async def _of_imports(
        self, tenant_id: TenantId, users: list[str]
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Payments of the past that a label would still find, and what became of them."""
        imported: list[EventId] = []
        async for payment in self._imports.of_subject(tenant_id, users):
            yield _record(IMPORTED, payment.event_id, {"event_id": payment.event_id, "time": payment.at})
            imported.append(payment.event_id)
            if len(imported) == _EVENTS_AT_ONCE:
                async for record in self._afterwards(tenant_id, imported):
                    yield record
                imported = []
        async for record in self._afterwards(tenant_id, imported):
            yield record

    async def _afterwards(
        self, tenant_id: TenantId, event_ids: list[EventId]
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Labels and cases of payments. Who of the merchant's people did it is not the subject's data (Art. 15(4))."""
        if not event_ids:
            return
        for event_id, labels in (await self._labels.labels(tenant_id, event_ids)).items():
            for label in labels:
                yield _record(LABEL, f"{event_id}/{label.kind}/{label.occurred_at.isoformat()}", _labelled(label))
        for event_id, case in (await self._cases.cases(tenant_id, event_ids)).items():
            history = await self._cases.history(tenant_id, event_id)
            sealed = [action.note for action in history if action.note is not None]
            texts = iter(await self._notes.open(tenant_id, event_id, sealed))
            document = {
                "event_id": event_id,
                "state": case.state.value,
                "score": case.score,
                "opened_at": case.opened_at,
                "resolution": case.resolution,
                "resolved_at": case.resolved_at,
                "history": [
                    {"action": action.kind.value, "at": action.at, "note": next(texts) if action.note else None}
                    for action in history
                ],
            }
            yield _record(CASE, event_id, document)


def _record(category: str, record_id: str, document: object) -> subject_data_pb2.ExportSubjectResponse:
    return subject_data_pb2.ExportSubjectResponse(
        record=subject_data_pb2.SubjectRecord(
            category=category, record_id=record_id, json=msgspec.json.encode(document)
        )
    )


def _labelled(label: Label) -> dict[str, object]:
    return {
        "event_id": label.event_id,
        "label": label.kind.value,
        "is_fraud": label.kind.is_fraud,
        "occurred_at": label.occurred_at,
        "recorded_at": label.recorded_at,
        "reference": label.reference,
    }


def _observed(packed: bytes) -> dict[str, object]:
    """Devices and payment methods are kept as short hashes there, which cannot be turned back."""
    row = unpack(packed)
    located = row.latitude != MISSING_PLACE
    return {
        "time": moment_of(row.at),
        "amount": None if row.amount == MISSING_AMOUNT else row.amount / AMOUNT_UNITS,
        "latitude": row.latitude / DEGREE_UNITS if located else None,
        "longitude": row.longitude / DEGREE_UNITS if located else None,
        "declined": bool(row.declined),
    }


def _summary(records: int) -> subject_data_pb2.SubjectSummary:
    basis = "legitimate interest in preventing fraud (GDPR Art. 6(1)(f), recital 47)"
    return subject_data_pb2.SubjectSummary(
        records=records,
        explanation="Every decision about the person's payments with its reasons, what the merchant's people found and wrote on those "
        "that were reviewed, what the payments turned out to be, the payments that new ones are compared to, and the entries of allow "
        "and deny lists that name the person.",
        processing=[
            subject_data_pb2.ProcessingInfo(
                category=DECISION,
                purpose="decide whether a payment is fraud, and be able to explain the decision",
                legal_basis=basis,
                retention="as long as the tenant's account",
            ),
            subject_data_pb2.ProcessingInfo(
                category=IMPORTED,
                purpose="find a payment of the past again when it becomes known whether it was fraud",
                legal_basis=basis,
                retention="38 days after the payment",
            ),
            subject_data_pb2.ProcessingInfo(
                category=LABEL,
                purpose="know which payments were fraud, to judge later ones better",
                legal_basis=basis,
                retention="as long as the tenant's account",
            ),
            subject_data_pb2.ProcessingInfo(
                category=CASE,
                purpose="let a person look at a payment that is not decided automatically",
                legal_basis=basis,
                retention="as long as the tenant's account; notes until the person is erased",
            ),
            subject_data_pb2.ProcessingInfo(
                category=HISTORY,
                purpose="compare a payment with the person's earlier ones",
                legal_basis=basis,
                retention="31 days after the last payment",
            ),
            subject_data_pb2.ProcessingInfo(
                category=LIST_ENTRY,
                purpose="let the person's payments through, or refuse them, as a person of the merchant decided and another one approved",
                legal_basis=basis,
                retention="with the versions of the policy, as long as the tenant's account; nothing tells whom an entry names once the person is erased",
            ),
        ],
    )
