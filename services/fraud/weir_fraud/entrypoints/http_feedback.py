"""``/api/v2/ml/feedback/fraud``: labels come back, and are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import NOT_FOUND, PROBLEM_RESPONSES, MsgspecResponse, TenantParameter, answer, principal
from weir_common.ids import EventId
from weir_common.problems import FieldError, NotFound

from weir_fraud.domain.label import Label, current_label
from weir_fraud.entrypoints.feedback_body import MAX_LABELS, BadLabel, SentLabel, read_labels
from weir_fraud.entrypoints.tenant_asked import enter
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.ports import DecisionStore, LabelStore
from weir_fraud.record_labels import LabelStatus, RecordLabels

PATH: Final = "/api/v2/ml/feedback/fraud"
_NO_DECISION: Final = "There is no decision on this event; the label is kept."

_, _SCHEMAS = msgspec.json.schema_components([SentLabel], ref_template="#/components/schemas/{name}")
FEEDBACK_SCHEMAS: Final[dict[str, Any]] = _SCHEMAS
"""For the OpenAPI document."""

_EVENT_ID = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
_SECOND_ID = "0b9d6a52-3c1e-4f7a-8d20-5a6b7c8d9e0f"
LABEL_EXAMPLE: Final[dict[str, Any]] = {
    "event_id": _EVENT_ID,
    "label": "chargeback",
    "occurred_at": "2026-12-09T08:00:00Z",
    "reference": "dp_1PqRsT",
}


class LabelResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One label's result."""

    index: int
    status: LabelStatus
    event_id: str = ""
    detail: str = ""
    errors: list[FieldError] = []


def feedback_router(
    record: RecordLabels,
    store: LabelStore,
    decisions: DecisionStore,
    metrics: LabelMetrics,
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["feedback"])

    @router.post(
        PATH,
        summary="Say what a payment was",
        responses=_RESPONSES,
        openapi_extra=_BODY,
    )
    async def give(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_LABEL)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """One label, or up to 500 as `{"labels": […]}`; each gets its own result, in order, and one bad label fails no other.

        `chargeback`: the bank took the money back; `confirmed`: it was found to be fraud; `cleared`: it was honest. `occurred_at` is
        when that became known to you, from 2000 on and at most a day ahead. Every label is kept; the newest by `occurred_at` counts,
        of one moment `chargeback` before `confirmed` before `cleared`. Sent again, the same label (event, label, time) is a
        `duplicate`. `unknown_event`: there is no decision on the event, as of payments that were only imported; the label is kept
        all the same.

        Pointers in results are relative to the label. 200: every label is kept; 207: some are not; 422: none is. Audited.
        """
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_LABEL)
        read = read_labels(await request.body(), tenant, caller, clock())
        good = [label for label in read if isinstance(label, Label)]
        statuses = iter(await record(tenant, good, caller, f"POST {PATH}"))
        results = [
            LabelResult(index, LabelStatus.INVALID, label.event_id, errors=label.errors)
            if isinstance(label, BadLabel)
            else _result(index, label, next(statuses))
            for index, label in enumerate(read)
        ]
        if len(good) < len(read):
            metrics.received("none", LabelStatus.INVALID.value, len(read) - len(good))
        status = 200 if len(good) == len(read) else 207 if good else 422
        return MsgspecResponse({"results": results, "summary": _summary(results)}, status_code=status)

    @router.get(
        f"{PATH}/{{event_id}}",
        summary="What a payment was said to be",
        responses={**answer("The labels", "tenant_id", "event_id", "current", "labels"), **NOT_FOUND},
    )
    async def of_event(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_LABEL)],
        event_id: Annotated[UUID, Path(description="Of the payment event")],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """All its labels, the newest first (at most 1,000), and the one that counts; 404 without label and decision."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_LABEL)
        event = EventId(str(event_id))
        labels = (await store.labels(tenant, [event])).get(event, ())
        if not labels and await decisions.find(tenant, event) is None:
            raise NotFound(f"There is no label and no decision of event {event}.")
        return MsgspecResponse({"tenant_id": tenant, "event_id": event, **labels_document(labels)})

    return router


def labels_document(labels: Sequence[Label]) -> dict[str, Any]:
    """The one that counts, or null, and all."""
    current = current_label(labels)
    return {
        "current": None if current is None else _document(current),
        "labels": [_document(label) for label in labels],
    }


def _document(label: Label) -> dict[str, Any]:
    return {
        "label": label.kind.value,
        "is_fraud": label.kind.is_fraud,
        "occurred_at": label.occurred_at,
        "recorded_at": label.recorded_at,
        "recorded_by": label.recorded_by,
        "source": label.source.value,
        "reference": label.reference,
    }


def _result(index: int, label: Label, status: LabelStatus) -> LabelResult:
    detail = _NO_DECISION if status is LabelStatus.UNKNOWN_EVENT else ""
    return LabelResult(index, status, label.event_id, detail)


def _summary(results: Sequence[LabelResult]) -> dict[str, int]:
    counts = dict.fromkeys(map(str, LabelStatus), 0)
    for result in results:
        counts[result.status] += 1
    return {"received": len(results), **counts}


_RESULT_SHAPE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["results", "summary"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer"},
                    "status": {"enum": [*map(str, LabelStatus)]},
                    "event_id": {"type": "string"},
                    "detail": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "pointer": {"type": "string", "description": "RFC 6901 pointer into the label"},
                                "expected": {"type": "string"},
                                "got": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
        "summary": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
_RECORDED: Final = LabelResult(0, LabelStatus.RECORDED, _EVENT_ID)
_UNKNOWN: Final = LabelResult(1, LabelStatus.UNKNOWN_EVENT, _SECOND_ID, _NO_DECISION)
_INVALID: Final = LabelResult(
    1, LabelStatus.INVALID, errors=[FieldError("/occurred_at", "a value (required)", "nothing")]
)


def _answer(description: str, *results: LabelResult, problem: int | None = None) -> dict[str, Any]:
    """``problem``: the status is also that of a request of which no label was looked at."""
    example = {"results": msgspec.to_builtins(results), "summary": _summary(results)}
    return {
        "description": description,
        "content": {
            "application/json": {"schema": _RESULT_SHAPE, "example": example},
            **(PROBLEM_RESPONSES[problem]["content"] if problem is not None else {}),
        },
    }


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: _answer("Every label is kept", _RECORDED, _UNKNOWN),
    207: _answer("Some are not: each result says why", _RECORDED, _INVALID),
    422: _answer("None is a label", msgspec.structs.replace(_INVALID, index=0), problem=422),
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {
                            "type": "object",
                            "required": ["labels"],
                            "additionalProperties": False,
                            "properties": {
                                "labels": {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": MAX_LABELS,
                                    "items": {"$ref": "#/components/schemas/SentLabel"},
                                }
                            },
                        },
                        {"$ref": "#/components/schemas/SentLabel"},
                    ]
                },
                "examples": {
                    "one": {"value": LABEL_EXAMPLE},
                    "batch": {"value": {"labels": [LABEL_EXAMPLE]}},
                },
            }
        },
    }
}
