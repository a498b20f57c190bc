"""``FraudService`` for internal systems: decode, call, encode."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final

import grpc.aio
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_common.audit import AuditEntry, AuditTrail, tenant_asked
from weir_common.auth import Action, Authenticator
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import FieldError, Forbidden, InvalidRequest

from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.outcome import Outcome
from weir_fraud.entrypoints.scoring_request import event_of, payment_to_score
from weir_fraud.score_transaction import ScoreTransaction

_OUTCOMES: Final = {
    Outcome.APPROVE: fraud_pb2.OUTCOME_APPROVE,
    Outcome.REVIEW: fraud_pb2.OUTCOME_REVIEW,
    Outcome.DECLINE: fraud_pb2.OUTCOME_DECLINE,
}


class FraudServicer(fraud_pb2_grpc.FraudServiceServicer):
    """Same contract as the HTTP edge; the credential rides in the metadata."""

    def __init__(
        self,
        score: ScoreTransaction,
        authenticator: Authenticator,
        audit: AuditTrail,
        clock: Callable[[], datetime],
        protect: ProtectEvents,
    ) -> None:
        self._score = score
        self._authenticator = authenticator
        self._audit = audit
        self._clock = clock
        self._protect = protect

    async def ScoreTransaction(  # noqa: N802 - the name is the protocol's
        self, request: fraud_pb2.ScoreTransactionRequest, context: grpc.aio.ServicerContext
    ) -> fraud_pb2.ScoreTransactionResponse:
        """Ends with the caller's deadline, and with its cancellation."""
        caller = caller_of(context, self._authenticator, Action.FRAUD_SCORE)
        tenant_id = TenantId(request.tenant_id)
        if not caller.may_enter(tenant_id):
            await self._audit.record(
                AuditEntry(
                    tenant_id=caller.tenant_id or tenant_id,
                    actor=caller.subject,
                    actor_kind=caller.kind,
                    action=str(Action.FRAUD_SCORE),
                    object_ref="weir.fraud.v1.FraudService/ScoreTransaction",
                    outcome="denied",
                    detail={"reason": "tenant", "tenant_asked": tenant_asked(tenant_id)},
                )
            )
            raise Forbidden("The credential belongs to another tenant; the attempt was recorded.")
        event, prefix = event_of(request.event)
        if event.tenant_id != tenant_id:
            raise InvalidRequest(
                "The event is another tenant's than the request.",
                errors=[FieldError(f"{prefix}/tenant_id", tenant_id, event.tenant_id)],
            )
        payment = await payment_to_score(event, prefix, self._clock(), self._protect)
        decision = await self._score(payment, Source.GRPC, context.time_remaining())
        return fraud_pb2.ScoreTransactionResponse(decision=decision_message(decision))


def decision_message(decision: Decision) -> fraud_pb2.Decision:
    """A decision as protobuf."""
    message = fraud_pb2.Decision(
        tenant_id=decision.tenant_id,
        event_id=decision.event_id,
        transaction_id=decision.transaction_id,
        outcome=_OUTCOMES[decision.outcome],
        score=decision.score,
        reason_codes=decision.reason_codes,
        margin=decision.margin,
        base_value=decision.base,
        reasons=[
            fraud_pb2.Reason(code=reason.reason.code, text=reason.reason.text, contribution=reason.contribution)
            for reason in decision.reasons
        ],
        contributions=[
            fraud_pb2.Contribution(
                feature=contribution.feature,
                value=None if math.isnan(contribution.value) else contribution.value,
                contribution=contribution.contribution,
                reason_code=contribution.reason.code,
            )
            for contribution in decision.contributions
        ],
        model_version=decision.model_version,
        thresholds=fraud_pb2.Thresholds(review=decision.thresholds.review, decline=decision.thresholds.decline),
        model_outcome=_OUTCOMES[decision.model_outcome],
        policy_version=decision.policy_version,
        policy_rule=decision.policy_rule,
        policy_errors=decision.policy_errors,
    )
    message.event_time.FromDatetime(decision.event_timestamp)
    message.decided_time.FromDatetime(decision.decided_at)
    message.latency.FromTimedelta(decision.latency)
    return message
