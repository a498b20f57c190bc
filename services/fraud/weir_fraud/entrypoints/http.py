"""Decisions over HTTP: decode, call, encode."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import NOT_FOUND, MsgspecResponse, TenantParameter, principal, tenant_access
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.entrypoints.documents import DECISION_EXAMPLE, decision_document
from weir_fraud.ports import DecisionStore

DECISION_RESPONSE: Final[dict[str, Any]] = {
    "description": "The decision",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": list(DECISION_EXAMPLE)},
            "example": DECISION_EXAMPLE,
        }
    },
}


def fraud_router(decisions: DecisionStore) -> APIRouter:
    """The routes of fraud, that show decisions; the one that decides is `inference_endpoint`."""
    router = APIRouter(tags=["fraud"])

    @router.get(
        "/api/v2/ml/decisions/{event_id}",
        summary="A decision that was made",
        responses={200: DECISION_RESPONSE, **NOT_FOUND},
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

    return router
