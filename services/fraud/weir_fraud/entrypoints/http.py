"""``POST /api/v2/ml/inference/fraud`` and the decisions that were made."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import MsgspecResponse, decode_body, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.payment import NotAPaymentError, Payment, PaymentEvent, payment_of
from weir_fraud.domain.reasons import REASONS
from weir_fraud.ports import DecisionStore, Model
from weir_fraud.score_transaction import ScoreTransaction

_decoder = msgspec.json.Decoder(PaymentEvent)

_EXAMPLE: dict[str, Any] = {
    "schema_version": "2.1",
    "tenant_id": "merchant_12345",
    "event_metadata": {
        "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
        "timestamp": "2026-01-15T10:30:00.123456Z",
        "source_system": "web_app",
    },
    "event_data": {
        "event_type": "transaction",
        "event_subtype": "purchase",
        "user_context": {
            "user_id": "hashed_user_id",
            "session_data": {
                "session_attributes": {
                    "device_fingerprint": "hash_string",
                    "geolocation": {"country": "US", "coordinates": {"lat": 40.7128, "lon": -74.006}},
                }
            },
        },
        "business_context": {
            "transaction_context": {
                "products": [{"product_id": "sku_789012", "pricing": {"sale_price": 899.99, "currency": "USD"}}],
                "cart_context": {
                    "cart_id": "cart_uuid",
                    "cart_value": {"final_total": 899.99},
                    "payment_context": {
                        "payment_methods": [{"method_type": "credit_card", "tokenized_identifier": "token_hash_123"}]
                    },
                },
            }
        },
    },
}


def payment_from(body: bytes) -> Payment:
    """The payment in a body; ``InvalidRequest`` with pointers when there is none."""
    event = decode_body(_decoder, body)
    try:
        return payment_of(event)
    except NotAPaymentError as error:
        raise InvalidRequest(
            "The event is not a payment that can be scored.",
            errors=[FieldError(error.pointer, error.expected, error.got)],
        ) from error


def answer(decision: Decision) -> dict[str, Any]:
    """What a caller gets: the decision, and its reasons in words."""
    document: dict[str, Any] = msgspec.to_builtins(decision)
    document["reasons"] = [{"code": code, "text": REASONS[code]} for code in decision.reason_codes]
    return document


def fraud_router(score: ScoreTransaction, decisions: DecisionStore, model: Model) -> APIRouter:
    """The routes of fraud."""
    router = APIRouter(tags=["fraud"])

    @router.post(
        "/api/v2/ml/inference/fraud",
        summary="Decide on a payment",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
            }
        },
    )
    async def post_inference(request: Request, caller: Annotated[Principal, principal(Action.FRAUD_SCORE)]) -> Response:
        """Score one `transaction` event of schema 2.1. The contributions and `base_value` sum to `margin`; `score` is its
        logistic. Asking again for the same event gives the same decision.
        """
        payment = payment_from(await request.body())
        await tenant_access(request, caller, TenantId(payment.tenant_id), Action.FRAUD_SCORE)
        return MsgspecResponse(answer(await score(payment)))

    @router.get("/api/v2/ml/decisions/{event_id}", summary="A decision that was made")
    async def get_decision(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_SCORE)],
        event_id: Annotated[str, Path(max_length=64)],
        tenant_id: Annotated[str | None, Query(description="Needed by operators; a tenant's own by default")] = None,
    ) -> Response:
        """The decision on an event, with what it was decided on."""
        tenant = tenant_id or caller.tenant_id
        if tenant is None:
            raise InvalidRequest(
                "Say whose.", errors=[FieldError(parameter="tenant_id", expected="a tenant", got="nothing")]
            )
        await tenant_access(request, caller, TenantId(tenant), Action.FRAUD_SCORE)
        decision = await decisions.find(tenant, event_id.lower())
        if decision is None:
            raise NotFound(f"No decision was made on event {event_id}.")
        return MsgspecResponse(answer(decision))

    @router.get("/api/v2/ml/models/fraud", summary="The model in use")
    async def get_model(caller: Annotated[Principal, principal(Action.FRAUD_SCORE)]) -> Response:
        """Version, thresholds and reason codes."""
        return MsgspecResponse(
            {
                "model_version": model.version,
                "thresholds": model.thresholds,
                "reason_codes": [{"code": code, "text": text} for code, text in REASONS.items()],
            }
        )

    return router
