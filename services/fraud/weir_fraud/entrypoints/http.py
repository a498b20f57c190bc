"""``POST /api/v2/ml/inference/fraud``, decisions and the model over HTTP: decode, call, encode."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from weir_common.auth import Action, Principal
from weir_common.events import EVENT_REFERENCE
from weir_common.http import NOT_FOUND, MsgspecResponse, TenantParameter, answer, principal, tenant_access
from weir_common.ids import EventId, TenantId
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.domain.model import ModelCard
from weir_fraud.entrypoints.documents import DECISION_EXAMPLE, EVENT_EXAMPLE, decision_document
from weir_fraud.entrypoints.scoring_request import event_of, payment_to_score
from weir_fraud.ports import DecisionStore
from weir_fraud.score_transaction import ScoreTransaction

_DECISION = {
    "description": "The decision",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": list(DECISION_EXAMPLE)},
            "example": DECISION_EXAMPLE,
        }
    },
}
_INFERENCE_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["event"],
                    "properties": {"event": {"$ref": EVENT_REFERENCE}},
                },
                "example": EVENT_EXAMPLE,
            }
        },
    },
    "responses": {"200": _DECISION},
}


def fraud_router(
    score: ScoreTransaction,
    decisions: DecisionStore,
    catalogue: Catalogue,
    card: ModelCard,
    clock: Callable[[], datetime],
    protect: ProtectEvents,
) -> APIRouter:
    """The routes of fraud."""
    router = APIRouter(tags=["fraud"])

    @router.post(
        "/api/v2/ml/inference/fraud", summary="Decide on a payment", openapi_extra=_INFERENCE_OPENAPI, status_code=200
    )
    async def post_inference(request: Request, caller: Annotated[Principal, principal(Action.FRAUD_SCORE)]) -> Response:
        """Score a payment and say why, to the last digit: `base_value` and the contributions (exact TreeSHAP, in log-odds) add
        up to `margin`, whose logistic is `score`.

        The body is `{"event": {…}}` with one event of schema 2.1, type `transaction`, subtype `purchase`, `payment_attempted`
        or `payment_declined` (a bare event is taken, too). The decision is stored and announced; asked again for the same
        event, here, over gRPC or by the event arriving on the stream, it is the same.
        """
        event, prefix = event_of(await request.body())
        await tenant_access(request, caller, TenantId(event.tenant_id), Action.FRAUD_SCORE)
        decision = await score(await payment_to_score(event, prefix, clock(), protect), Source.HTTP)
        return MsgspecResponse(decision_document(decision))

    @router.get(
        "/api/v2/ml/decisions/{event_id}",
        summary="A decision that was made",
        responses={200: _DECISION, **NOT_FOUND},
    )
    async def get_decision(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_SCORE)],
        event_id: Annotated[UUID, Path(description="Of the payment event")],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """The decision on an event, with the features that it was made on."""
        tenant = TenantId(tenant_id) if tenant_id else caller.tenant_id
        if tenant is None:
            raise InvalidRequest(
                "An operator says which tenant.",
                errors=[FieldError(parameter="tenant_id", expected="a tenant's id", got="nothing")],
            )
        await tenant_access(request, caller, tenant, Action.FRAUD_SCORE)
        decision = await decisions.find(tenant, EventId(str(event_id)))
        if decision is None:
            raise NotFound(f"There is no decision on event {event_id}.")
        return MsgspecResponse(decision_document(decision))

    @router.get(
        "/api/v2/ml/models/fraud",
        summary="The model in use",
        responses=answer("The model", "version", "thresholds", "features", "training", "metrics"),
    )
    async def get_model(caller: Annotated[Principal, principal(Action.FRAUD_SCORE)]) -> Response:
        """How good it is, on a period after the one that it was trained on; what each of its features means."""
        features = [
            {
                "name": feature.name,
                "unit": feature.unit,
                "description": feature.description,
                "reason_code": feature.reason.code,
                "reason_text": feature.reason.text,
            }
            for feature in (catalogue[name] for name in card.features)
        ]
        return MsgspecResponse(
            {
                "version": card.version,
                "thresholds": card.thresholds,
                "features": features,
                "training": card.training,
                "metrics": card.metrics,
            }
        )

    return router
