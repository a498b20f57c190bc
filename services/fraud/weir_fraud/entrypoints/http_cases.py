"""``/api/v2/ml/cases``: the queue of payments to review; look at one, take it, write on it, end it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import (
    CHANGED,
    CONFLICT,
    NOT_FOUND,
    CursorParameter,
    MsgspecResponse,
    TenantParameter,
    answer,
    decode_body,
    principal,
)
from weir_common.ids import EventId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.label import Label
from weir_fraud.domain.review_case import CaseAction, CaseState, Resolution, ReviewCase
from weir_fraud.entrypoints.case_version import SeenVersion, entity_tag
from weir_fraud.entrypoints.documents import explanation_of
from weir_fraud.entrypoints.http_feedback import labels_document
from weir_fraud.entrypoints.tenant_asked import enter
from weir_fraud.ports import CaseStore, DecisionStore, LabelStore, Notes, QueuedCase, QueueFilter, QueueOrder
from weir_fraud.work_case import WorkCase, no_case

PREFIX: Final = "/api/v2/ml/cases"
MAX_LIMIT: Final = 200
MAX_NOTE: Final = 4_000
ME: Final = "me"

# In Python `$` also matches before a last newline, in JSON Schema it does not; the lookahead makes both the same.
_ACTOR: Final = r"^[!-~]{1,200}$(?!\n)"
Assignee = Annotated[str, msgspec.Meta(pattern=_ACTOR)]
Note = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NOTE)]


class AssignRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``assignee``: the `sub` of a person's token, `key:` and a key's id, or `me`; null gives the case back to the queue."""

    assignee: Assignee | None


class NoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``text``: up to 4,000 characters."""

    text: Note


class ResolveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``note``: as of the notes, optional."""

    resolution: Resolution
    note: Note | None = None


_, _SCHEMAS = msgspec.json.schema_components(
    [AssignRequest, NoteRequest, ResolveRequest], ref_template="#/components/schemas/{name}"
)
CASE_SCHEMAS: Final[dict[str, Any]] = _SCHEMAS
"""For the OpenAPI document."""
_assign = msgspec.json.Decoder(AssignRequest)
_note = msgspec.json.Decoder(NoteRequest)
_resolve = msgspec.json.Decoder(ResolveRequest)

_CASE_EXAMPLE: Final[dict[str, Any]] = {
    "tenant_id": "merchant_12345",
    "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
    "state": "assigned",
    "assignee": "ada",
    "score": 0.2109,
    "opened_at": "2026-11-25T10:30:00.131000Z",
    "resolution": None,
    "resolved_at": None,
    "version": 2,
}
EventIdParameter = Annotated[UUID, Path(description="Of the payment event")]


def cases_router(
    store: CaseStore, labels: LabelStore, decisions: DecisionStore, notes: Notes, work: WorkCase
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["cases"])

    @router.get("", summary="Payments to review", responses=answer("A page", "tenant_id", "cases", "next_cursor"))
    async def queue(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_CASES_READ)],
        tenant_id: TenantParameter = None,
        state: Annotated[
            CaseState | None, Query(description="Only these; without it all that are not resolved")
        ] = None,
        assignee: Annotated[
            str | None, Query(description="Only this one's; `me` is the caller", pattern=r"^[!-~]{1,200}$")
        ] = None,
        min_score: Annotated[float, Query(ge=0, le=1, description="Only from this score on")] = 0.0,
        order: Annotated[
            QueueOrder, Query(description="The highest score first, or the oldest first")
        ] = QueueOrder.SCORE,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 50,
        cursor: CursorParameter = None,
    ) -> Response:
        """What the model would not decide alone: each decision of outcome `review` is a case from the moment on at which it is stored."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_CASES_READ)
        chosen = QueueFilter(state, caller.subject if assignee == ME else assignee, min_score)
        after = None if cursor is None else _after(cursor, order)
        page = await store.queue(tenant, chosen, order, after=after, limit=limit + 1)
        shown = page[:limit]
        return MsgspecResponse(
            {
                "tenant_id": tenant,
                "cases": [_queued(one) for one in shown],
                "next_cursor": _next(shown[-1].case, order) if len(page) > limit else None,
            }
        )

    @router.get(
        "/{event_id}",
        summary="One case",
        responses={**answer("The case", *_CASE_EXAMPLE, "decision", "history", "labels"), **NOT_FOUND},
    )
    async def one(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_CASES_READ)],
        event_id: EventIdParameter,
        tenant_id: TenantParameter = None,
    ) -> Response:
        """With why it is to be reviewed, in words, what was done with it, and what the payment was said to be.

        A note whose person was erased has no text any more. `ETag` is the case's version.
        """
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_CASES_READ)
        event = EventId(str(event_id))
        # The case is read before its history: the version must not be newer than what is shown, else If-Match would say more than was seen.
        case = (await store.cases(tenant, [event])).get(event)
        decision = await decisions.find(tenant, event)
        if case is None or decision is None:
            raise no_case(event)
        history = await store.history(tenant, event)
        texts = iter(await notes.open(tenant, event, [action.note for action in history if action.note is not None]))
        said = (await labels.labels(tenant, [event])).get(event, ())
        document = {
            **_case(case),
            "decision": _decision(decision),
            "history": [_action(action, next(texts) if action.note is not None else None) for action in history],
            **_said(said),
        }
        return MsgspecResponse(document, headers=entity_tag(case.version))

    @router.post(
        "/{event_id}/assign",
        summary="Take a case, hand it over, give it back",
        responses=_CHANGE_RESPONSES,
        openapi_extra=_takes("AssignRequest", {"assignee": "me"}),
    )
    async def assign(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_CASES_WORK)],
        event_id: EventIdParameter,
        seen: SeenVersion,
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Of two who take a case at once one gets it. A case that another holds is taken over with `If-Match` only. Audited."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_CASES_WORK)
        asked = decode_body(_assign, await request.body())
        assignee = caller.subject if asked.assignee == ME else asked.assignee
        return _shown(await work.assign(tenant, EventId(str(event_id)), assignee, caller, seen))

    @router.post(
        "/{event_id}/notes",
        summary="Write a note on a case",
        responses=_CHANGE_RESPONSES,
        openapi_extra=_takes(
            "NoteRequest", {"text": "Called the customer: the card is hers, the address is her sister's."}
        ),
    )
    async def note(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_CASES_WORK)],
        event_id: EventIdParameter,
        seen: SeenVersion,
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Sealed under the key of whom the payment is about; card numbers in it are kept nowhere. Audited, without the text."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_CASES_WORK)
        asked = decode_body(_note, await request.body())
        return _shown(await work.note(tenant, EventId(str(event_id)), asked.text, caller, seen))

    @router.post(
        "/{event_id}/resolve",
        summary="Say what the payment was",
        responses=_CHANGE_RESPONSES,
        openapi_extra=_takes("ResolveRequest", {"resolution": "fraud", "note": "The card was reported stolen."}),
    )
    async def resolve(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_CASES_WORK)],
        event_id: EventIdParameter,
        seen: SeenVersion,
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Ends the case and labels the payment, `confirmed` or `cleared`, in one transaction. Audited.

        A case that another holds is resolved with `If-Match` only.
        """
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_CASES_WORK)
        asked = decode_body(_resolve, await request.body())
        case = await work.resolve(tenant, EventId(str(event_id)), asked.resolution, asked.note, caller, seen)
        return _shown(case)

    return router


def _takes(schema: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_CHANGE_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The case as it is now",
        "headers": {"ETag": {"schema": {"type": "string"}, "description": "Its version"}},
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": list(_CASE_EXAMPLE)},
                "example": _CASE_EXAMPLE,
            }
        },
    },
    **NOT_FOUND,
    **CONFLICT,
    **CHANGED,
}


def _shown(case: ReviewCase) -> Response:
    return MsgspecResponse(_case(case), headers=entity_tag(case.version))


def _case(case: ReviewCase) -> dict[str, Any]:
    return {
        "tenant_id": case.tenant_id,
        "event_id": case.event_id,
        "state": case.state.value,
        "assignee": case.assignee,
        "score": case.score,
        "opened_at": case.opened_at,
        "resolution": None if case.resolution is None else case.resolution.value,
        "resolved_at": case.resolved_at,
        "version": case.version,
    }


def _queued(one: QueuedCase) -> dict[str, Any]:
    return {
        **_case(one.case),
        "transaction_id": one.transaction_id,
        "event_timestamp": one.event_timestamp,
        "amount": one.amount,
        "currency": one.currency,
        "explanation": explanation_of(one.reason_codes is not None),
        "reason_codes": one.reason_codes,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    """What an analyst reads; `GET /api/v2/ml/decisions/{event_id}` has every feature."""
    return {
        "transaction_id": decision.transaction_id,
        "event_subtype": decision.kind.value,
        "event_timestamp": decision.event_timestamp,
        "decided_at": decision.decided_at,
        "amount": decision.amount,
        "currency": decision.currency,
        "user_id": decision.user_id,
        "anonymous_id": decision.anonymous_id,
        "score": decision.score,
        "thresholds": decision.thresholds,
        "explanation": explanation_of(decision.is_explained),
        "reasons": None
        if not decision.is_explained
        else [
            {
                "code": reason.reason.code,
                "text": reason.reason.text,
                # For whom the shopper calls.
                "shopper_text": reason.reason.shopper_text,
                "contribution": reason.contribution,
            }
            for reason in decision.reasons
        ],
        "model_version": decision.model_version,
    }


def _action(action: CaseAction, text: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": action.version,
        "action": action.kind.value,
        "actor": action.actor,
        "actor_kind": action.actor_kind,
        "at": action.at,
    }
    if action.assignee is not None:
        document["assignee"] = action.assignee
    if action.resolution is not None:
        document["resolution"] = action.resolution.value
    if action.note is not None:
        document["note"] = text
    return document


def _said(labels: Sequence[Label]) -> dict[str, Any]:
    document = labels_document(labels)
    return {"label": document["current"], "labels": document["labels"]}


def _next(case: ReviewCase, order: QueueOrder) -> str:
    place = case.score if order is QueueOrder.SCORE else case.opened_at.isoformat()
    return encode_cursor([order.value, place, case.event_id])


def _after(cursor: str, order: QueueOrder) -> tuple[float | datetime, EventId]:
    """Where a page begins; a cursor of the other order leads nowhere."""
    given, place, event_id = decode_cursor(cursor, 3)
    try:
        if given != order.value:
            raise ValueError("of another order")
        event = EventId(str(UUID(str(event_id))))
        if order is QueueOrder.SCORE:
            score = float(place)
            if not math.isfinite(score):
                raise ValueError("no score")
            return score, event
        moment = datetime.fromisoformat(str(place))
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment.astimezone(UTC), event
    except (ValueError, TypeError, OverflowError):
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out, in this order.",
            errors=[
                FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
            ],
        ) from None
