"""``FraudService`` for internal systems, and what fraud holds about a data subject."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import grpc.aio
import msgspec
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.auth import Action, Authenticator
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction
from weir_common.problems import FieldError, Forbidden, InvalidRequest

from weir_fraud.domain.decision import Decision, Outcome
from weir_fraud.entrypoints.http import payment_from
from weir_fraud.score_transaction import ScoreTransaction

_OUTCOMES = {
    Outcome.APPROVE: fraud_pb2.OUTCOME_APPROVE,
    Outcome.REVIEW: fraud_pb2.OUTCOME_REVIEW,
    Outcome.DECLINE: fraud_pb2.OUTCOME_DECLINE,
}


class FraudServicer(fraud_pb2_grpc.FraudServiceServicer):
    """Same contract as the HTTP edge; the tenant's credential rides in the metadata."""

    def __init__(self, score: ScoreTransaction, authenticator: Authenticator) -> None:
        self._score = score
        self._authenticator = authenticator

    async def ScoreTransaction(  # noqa: N802 - the name is the protocol's
        self, request: fraud_pb2.ScoreTransactionRequest, context: grpc.aio.ServicerContext
    ) -> fraud_pb2.ScoreTransactionResponse:
        """INVALID_ARGUMENT with pointers for a bad event, PERMISSION_DENIED for another tenant's."""
        caller = caller_of(context, self._authenticator, Action.FRAUD_SCORE)
        payment = payment_from(request.event)
        if payment.tenant_id != request.tenant_id:
            raise InvalidRequest(
                "The event names another tenant than the request.",
                errors=[FieldError("/tenant_id", request.tenant_id, payment.tenant_id)],
            )
        if not caller.may_enter(TenantId(payment.tenant_id)):
            raise Forbidden("The credential belongs to another tenant.")
        return _response(await self._score(payment))


class FraudSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """The subject's decisions, with their reasons and contributions (GDPR Art. 15(1)(h))."""

    _PAGE = 500

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Decisions by event id, then one summary."""
        count, last = 0, ""
        while True:
            async with tenant_transaction(self._pool, TenantId(request.tenant_id), readonly=True) as connection:
                rows = await connection.fetch(
                    "SELECT event_id, transaction_id, user_id, anonymous_id, amount::text, currency, score, outcome, "
                    "reason_codes, explanation, model_version, event_at, decided_at FROM fraud.decision "
                    "WHERE tenant_id = $1 AND event_id > $4 AND (user_id = ANY($2::text[]) OR anonymous_id = ANY($3::text[])) "
                    "ORDER BY event_id LIMIT $5",
                    request.tenant_id,
                    list(request.subject.user_ids),
                    list(request.subject.anonymous_ids),
                    last,
                    self._PAGE,
                )
            for row in rows:
                document = dict(row)
                document["reason_codes"] = msgspec.json.decode(row["reason_codes"])
                document["explanation"] = msgspec.json.decode(row["explanation"])
                yield subject_data_pb2.ExportSubjectResponse(
                    record=subject_data_pb2.SubjectRecord(
                        category="fraud.decision", record_id=row["event_id"], json=msgspec.json.encode(document)
                    )
                )
            count += len(rows)
            if len(rows) < self._PAGE:
                break
            last = rows[-1]["event_id"]
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=count,
                explanation="" if count else "No payment of this subject was scored.",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category="fraud.decision",
                        purpose="Prevention of payment fraud; each decision with its reasons",
                        legal_basis="legitimate interest (recital 47 GDPR)",
                        retention="as the tenant's retention of fraud evidence",
                    )
                ],
            )
        )


def _response(decision: Decision) -> fraud_pb2.ScoreTransactionResponse:
    return fraud_pb2.ScoreTransactionResponse(
        event_id=decision.event_id,
        score=decision.score,
        outcome=_OUTCOMES[decision.outcome],
        reason_codes=decision.reason_codes,
        margin=decision.margin,
        base_value=decision.base_value,
        contributions=[
            fraud_pb2.Contribution(
                feature=row.feature, value=row.value, contribution=row.contribution, reason_code=row.reason_code
            )
            for row in decision.contributions
        ],
        model_version=decision.model_version,
        decided_at=decision.decided_at.isoformat(),
        latency_seconds=decision.latency_seconds,
        repeated_decision=decision.repeated,
    )
