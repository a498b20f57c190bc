"""Decisions over HTTP: decode, call, encode."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import CONFLICT, NOT_FOUND, MsgspecResponse, TenantParameter, principal, tenant_access
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.entrypoints.documents import (
    COUNTERFACTUAL_EXAMPLE,
    DECISION_EXAMPLE,
    counterfactual_document,
    decision_document,
)
from weir_fraud.find_counterfactual import FindCounterfactual
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

DECISION_WITH_COUNTERFACTUAL_RESPONSE: Final[dict[str, Any]] = {
    "description": "The decision; `counterfactual` only if it was asked for",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": list(DECISION_EXAMPLE)},
            "example": DECISION_EXAMPLE | {"counterfactual": COUNTERFACTUAL_EXAMPLE},
        }
    },
}


def fraud_router(decisions: DecisionStore, find_counterfactual: FindCounterfactual) -> APIRouter:
    """The routes of fraud that show decisions; the one that decides is `inference_endpoint`."""
    router = APIRouter(tags=["fraud"])

    @router.get(
        "/api/v2/ml/decisions/{event_id}",
        summary="A decision that was made",
        responses={200: DECISION_WITH_COUNTERFACTUAL_RESPONSE, **NOT_FOUND, **CONFLICT},
    )
    async def get_decision(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_SCORE)],
        event_id: Annotated[UUID, Path(description="Of the payment event")],
        tenant_id: TenantParameter = None,
        counterfactual: Annotated[
            bool, Query(description="Also the smallest changes of one feature that would flip the outcome")
        ] = False,
    ) -> Response:
        """The decision on an event, with the features that it was made on.

        `counterfactual=true` adds what would have to be otherwise, one feature at a time: for a payment that the thresholds decline, to be
        reviewed or approved; for one to review, to be approved; for one that they approve, to be reviewed. At most five, the smallest
        first, where the size of a change is the number of the model's thresholds between the two values. Empty if no single feature does
        it. A feature that is not known stays so. Lists and rules of the policy are not looked at. 409 if the model that decided is not
        kept any more.
        """
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
        document = decision_document(decision)
        if counterfactual:
            document["counterfactual"] = counterfactual_document(await find_counterfactual(decision))
        return MsgspecResponse(document)

    return router
