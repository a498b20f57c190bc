"""``FraudService`` for internal systems: decode, call, encode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import grpc.aio
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_common.audit import AuditEntry, AuditTrail, tenant_asked
from weir_common.auth import Action, Authenticator
from weir_common.events import Event
from weir_common.grpc import caller_of
from weir_common.http import MAX_BODY_BYTES
from weir_common.ids import TenantId
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import FieldError, Forbidden, InvalidRequest, PayloadTooLarge, Problem

from weir_fraud.domain.contributions import Inputs
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.outcome import Outcome
from weir_fraud.entrypoints.score_requests import Request, ScoreRequests
from weir_fraud.entrypoints.scoring_request import (
    EVENTS_A_STEP,
    event_of,
    payments_to_score,
    refuse_what_is_no_payment,
)
from weir_fraud.let_others import let_others
from weir_fraud.score_transaction import ScoreTransaction

MAX_BATCH: Final = 100
MAX_BATCH_BYTES: Final = 4 * 1_048_576
MESSAGES_A_STEP: Final = 5
"""After so many decisions of a batch the others of the loop have their turn."""

_OUTCOMES: Final = {
    Outcome.APPROVE: fraud_pb2.OUTCOME_APPROVE,
    Outcome.REVIEW: fraud_pb2.OUTCOME_REVIEW,
    Outcome.DECLINE: fraud_pb2.OUTCOME_DECLINE,
}


class FraudServicer(fraud_pb2_grpc.FraudServiceServicer):
    """Same contract as the HTTP edge; the credential rides in the metadata."""

    def __init__(
        self,
        requests: ScoreRequests[fraud_pb2.ScoreTransactionResponse],
        score: ScoreTransaction,
        authenticator: Authenticator,
        audit: AuditTrail,
        clock: Callable[[], datetime],
        protect: ProtectEvents,
    ) -> None:
        self._requests = requests
        self._score = score
        self._authenticator = authenticator
        self._audit = audit
        self._clock = clock
        self._protect = protect

    async def ScoreTransaction(  # noqa: N802 - the name is the protocol's
        self, request: fraud_pb2.ScoreTransactionRequest, context: grpc.aio.ServicerContext
    ) -> fraud_pb2.ScoreTransactionResponse:
        """Ends with the caller's deadline, and with its cancellation."""
        tenant_id = TenantId(request.tenant_id)
        await self._enter(context, tenant_id, "ScoreTransaction")
        with self._requests.admitted(context.time_remaining()):
            one = Request(lambda: _event_of_tenant(request.event, tenant_id))
            return await self._requests(tenant_id, one, context.time_remaining())

    async def ScoreTransactions(  # noqa: N802 - the name is the protocol's
        self, request: fraud_pb2.ScoreTransactionsRequest, context: grpc.aio.ServicerContext
    ) -> fraud_pb2.ScoreTransactionsResponse:
        """As ScoreTransaction, for up to 100 events; one that is refused does not keep the others from their decisions."""
        tenant_id = TenantId(request.tenant_id)
        await self._enter(context, tenant_id, "ScoreTransactions")
        _refuse_batch(request.events)
        with self._requests.admitted(context.time_remaining(), len(request.events)):
            return await self._scored(tenant_id, request.events, context)

    async def _scored(
        self, tenant_id: TenantId, contents: Sequence[bytes], context: grpc.aio.ServicerContext
    ) -> fraud_pb2.ScoreTransactionsResponse:
        now = self._clock()
        results: list[fraud_pb2.ScoredTransaction | None] = []
        events: list[Event] = []
        for content in contents:
            if len(results) % EVENTS_A_STEP == EVENTS_A_STEP - 1:
                await let_others()
            try:
                event, prefix = _event_of_tenant(content, tenant_id)
                refuse_what_is_no_payment(event, prefix, now)
            except (InvalidRequest, PayloadTooLarge) as refused:
                results.append(fraud_pb2.ScoredTransaction(refusal=refusal_message(refused)))
            else:
                results.append(None)
                events.append(event)
        payments = await payments_to_score(tenant_id, events, now, self._protect)
        decisions = await self._score.batch(tenant_id, payments, Source.GRPC, context.time_remaining())
        return fraud_pb2.ScoreTransactionsResponse(results=await _in_order(results, decisions))

    async def _enter(self, context: grpc.aio.ServicerContext, tenant_id: TenantId, method: str) -> None:
        """`Forbidden`, audited, if the tenant is not the caller's."""
        caller = caller_of(context, self._authenticator, Action.FRAUD_SCORE)
        if caller.may_enter(tenant_id):
            return
        await self._audit.record(
            AuditEntry(
                tenant_id=caller.tenant_id or tenant_id,
                actor=caller.subject,
                actor_kind=caller.kind,
                action=str(Action.FRAUD_SCORE),
                object_ref=f"weir.fraud.v1.FraudService/{method}",
                outcome="denied",
                detail={"reason": "tenant", "tenant_asked": tenant_asked(tenant_id)},
            )
        )
        raise Forbidden("The credential belongs to another tenant; the attempt was recorded.")


def _event_of_tenant(content: bytes, tenant_id: TenantId) -> tuple[Event, str]:
    if len(content) > MAX_BODY_BYTES:
        raise PayloadTooLarge(
            "The event is too large.", errors=[FieldError("", f"at most {MAX_BODY_BYTES} bytes", str(len(content)))]
        )
    event, prefix = event_of(content)
    if event.tenant_id != tenant_id:
        raise InvalidRequest(
            "The event is another tenant's than the request.",
            errors=[FieldError(f"{prefix}/tenant_id", tenant_id, event.tenant_id)],
        )
    return event, prefix


def _refuse_batch(events: Sequence[bytes]) -> None:
    if not 1 <= len(events) <= MAX_BATCH:
        raise InvalidRequest(
            "A batch has too few or too many events.",
            errors=[FieldError("/events", f"1 to {MAX_BATCH} events", str(len(events)))],
        )
    size = sum(len(event) for event in events)
    if size > MAX_BATCH_BYTES:
        raise PayloadTooLarge(
            "The events of the batch are too large together.",
            errors=[FieldError("/events", f"at most {MAX_BATCH_BYTES} bytes", str(size))],
        )


async def _in_order(
    results: Sequence[fraud_pb2.ScoredTransaction | None], decisions: Sequence[Decision]
) -> list[fraud_pb2.ScoredTransaction]:
    """The results, with a decision, one after the other, where there is none yet."""
    left = iter(decisions)
    whole: list[fraud_pb2.ScoredTransaction] = []
    for result in results:
        if len(whole) % MESSAGES_A_STEP == MESSAGES_A_STEP - 1:
            await let_others()
        whole.append(fraud_pb2.ScoredTransaction(decision=decision_message(next(left))) if result is None else result)
    return whole


def refusal_message(refused: Problem) -> fraud_pb2.Refusal:
    """Why an event cannot be decided on, as protobuf. An event that is wrong as a whole has no place in it that is."""
    return fraud_pb2.Refusal(
        detail=refused.detail,
        violations=[
            fraud_pb2.FieldViolation(pointer=error.pointer, expected=error.expected, got=error.got)
            for error in refused.errors
        ],
    )


def response_of(decision: Decision) -> fraud_pb2.ScoreTransactionResponse:
    """A decision as `ScoreTransaction` answers it."""
    response = fraud_pb2.ScoreTransactionResponse()
    _fill(response.decision, decision)
    return response


def decision_message(decision: Decision) -> fraud_pb2.Decision:
    """A decision as protobuf."""
    message = fraud_pb2.Decision()
    _fill(message, decision)
    return message


def _head_of(decision: Decision) -> fraud_pb2.Decision:
    return fraud_pb2.Decision(
        tenant_id=decision.tenant_id,
        event_id=decision.event_id,
        transaction_id=decision.transaction_id,
        outcome=_OUTCOMES[decision.outcome],
        score=decision.score,
        reason_codes=decision.reason_codes,
        margin=decision.margin,
        base_value=decision.base,
        model_version=decision.model_version,
        thresholds=fraud_pb2.Thresholds(review=decision.thresholds.review, decline=decision.thresholds.decline),
        model_outcome=_OUTCOMES[decision.model_outcome],
        policy_version=decision.policy_version,
        policy_rule=decision.policy_rule,
        policy_errors=decision.policy_errors,
        degraded=[one.value for one in decision.degraded],
        explanation=fraud_pb2.EXPLANATION_COMPLETE if decision.is_explained else fraud_pb2.EXPLANATION_DEFERRED,
        declines_halted=decision.declines_halted,
    )


def _fill(message: fraud_pb2.Decision, decision: Decision) -> None:
    # What is the same for all decisions of a model is copied as a whole, which takes half of the time of a hundred messages made one by one.
    if decision.is_explained:
        contributions = decision.contributions
        message.CopyFrom(_inputs_message(contributions.inputs))
        for part, value, share in zip(message.contributions, contributions.values, contributions.shares, strict=True):
            if value == value:
                part.value = value
            part.contribution = share
        reasons = message.reasons
        reasons.extend([_reason_message(one.code, one.text, one.shopper_text) for one, _ in decision.reasons])
        for told, (_, share) in zip(reasons, decision.reasons, strict=True):
            told.contribution = share
    message.MergeFrom(_head_of(decision))
    message.event_time.FromDatetime(decision.event_timestamp)
    message.decided_time.FromDatetime(decision.decided_at)
    message.latency.FromTimedelta(decision.latency)


@lru_cache(maxsize=256)
def _inputs_message(inputs: Inputs) -> fraud_pb2.Decision:
    """A model's inputs, without their values."""
    return fraud_pb2.Decision(
        contributions=[
            fraud_pb2.Contribution(feature=name, reason_code=reason.code)
            for name, reason in zip(inputs.names, inputs.reasons, strict=True)
        ]
    )


@lru_cache(maxsize=1_024)
def _reason_message(code: str, text: str, shopper_text: str) -> fraud_pb2.Reason:
    return fraud_pb2.Reason(code=code, text=text, shopper_text=shopper_text)
