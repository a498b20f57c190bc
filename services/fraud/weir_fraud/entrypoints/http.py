"""Decisions and the model over HTTP: decode, call, encode."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import CONFLICT, NOT_FOUND, MsgspecResponse, TenantParameter, answer, principal, tenant_access
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model import ModelCard
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


def fraud_router(
    decisions: DecisionStore, catalogue: Catalogue, card: ModelCard, find_counterfactual: FindCounterfactual
) -> APIRouter:
    """The routes of fraud, but for the one that decides (`inference_endpoint`)."""
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
