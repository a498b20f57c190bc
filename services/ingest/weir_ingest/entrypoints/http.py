"""``POST /api/v2/events/batch``, receipts and the schema over HTTP: decode, call, encode."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response
from weir_common.audit import AuditEntry, AuditTrail
from weir_common.auth import Action, Principal
from weir_common.errors import RetryError
from weir_common.events import SCHEMA_VERSION, event_json_schema
from weir_common.http import MsgspecResponse, decode_body, principal
from weir_common.ids import EventId, TenantId
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound, PayloadTooLarge, Unavailable

from weir_ingest.accept_batch import AcceptBatch, EventResult, Status, TenantMismatch
from weir_ingest.ports import ReceiptStore
from weir_ingest.settings import BatchLimits


class Batch(msgspec.Struct):
    """``{"events": [...]}``; each event's text is kept as it was sent."""

    events: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(Batch)

_EXAMPLE_ACCEPTED = {
    "results": [
        {
            "index": 0,
            "status": "accepted",
            "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
            "receipt": {
                "topic": "weir.ingest.events.v2",
                "partition": 3,
                "offset": 41,
                "accepted_at": "2026-11-25T10:30:00.123456Z",
            },
        }
    ],
    "summary": {"received": 1, "accepted": 1, "duplicate": 0, "invalid": 0, "unavailable": 0},
}
_EXAMPLE_MIXED = {
    "results": [
        *_EXAMPLE_ACCEPTED["results"],
        {
            "index": 1,
            "status": "invalid",
            "errors": [{"pointer": "/event_metadata/timestamp", "expected": "a value (required)", "got": "nothing"}],
        },
    ],
    "summary": {"received": 2, "accepted": 1, "duplicate": 0, "invalid": 1, "unavailable": 0},
}


def _batch_openapi() -> dict[str, Any]:
    schema = event_json_schema()
    definitions = schema.pop("$defs")
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "$schema": schema["$schema"],
                        "type": "object",
                        "required": ["events"],
                        "properties": {"events": {"type": "array", "items": {"$ref": "#/$defs/Event"}}},
                        "$defs": _relative(definitions),
                    }
                }
            },
        },
        "responses": {
            "202": {
                "description": "Every event was accepted, or is a repeat of one that was",
                "content": {"application/json": {"example": _EXAMPLE_ACCEPTED}},
            },
            "207": {
                "description": "Some were not: each result says why",
                "content": {"application/json": {"example": _EXAMPLE_MIXED}},
            },
            "413": {"description": "More events or bytes than a batch may have; the limit is in the answer"},
        },
    }


def _relative(definitions: dict[str, Any]) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(definitions), type=dict[str, Any])


def ingest_router(accept: AcceptBatch, receipts: ReceiptStore, limits: BatchLimits) -> APIRouter:
    """The routes of ingest."""
    router = APIRouter(tags=["events"])

    @router.post("/api/v2/events/batch", summary="Send events", openapi_extra=_batch_openapi(), status_code=202)
    async def post_batch(request: Request, caller: Annotated[Principal, principal(Action.EVENTS_WRITE)]) -> Response:
        """Up to 1,000 events a request. Each gets its own result, in order; one bad event never fails the others.

        An event counts as accepted only when the log has it on all in-sync replicas. Sending a batch again is safe.
        """
        tenant_id = _tenant_of(caller)
        batch = decode_body(_decoder, await request.body())
        if len(batch.events) > limits.max_events:
            raise PayloadTooLarge(
                f"A batch may hold at most {limits.max_events} events.",
                errors=[FieldError("/events", f"at most {limits.max_events} events", str(len(batch.events)))],
                extra={"limit_events": limits.max_events},
            )
        if not batch.events:
            raise InvalidRequest(
                "The batch is empty.", errors=[FieldError("/events", "at least one event", "an empty list")]
            )
        try:
            results = await accept(tenant_id, batch.events)
        except TenantMismatch:
            await _audit_mismatch(request, caller, tenant_id)
            raise
        request.state.events = len(results)
        return _answer(results)

    @router.get("/api/v2/events/receipts/{event_id}", summary="Look up what became of an event")
    async def get_receipt(
        caller: Annotated[Principal, principal(Action.EVENTS_READ)],
        event_id: Annotated[
            str, Path(description="The event's UUID", examples=["6f1e2d3c-0a9b-4c8d-9e7f-112233445566"])
        ],
    ) -> Response:
        """The receipt of an event that was accepted within the last 24 hours."""
        tenant_id = _tenant_of(caller)
        try:
            found = await receipts.find(tenant_id, [EventId(event_id.lower())])
        except RetryError as error:
            raise Unavailable("Receipts cannot be read now.") from error
        receipt = found.get(EventId(event_id.lower()))
        if receipt is None:
            raise NotFound(
                f"There is no receipt for event {event_id}: it was not accepted, or longer than 24 hours ago."
            )
        return MsgspecResponse({"event_id": event_id.lower(), "status": "accepted", "receipt": receipt})

    @router.get("/api/v2/schemas/event/{version}", summary="The event schema")
    async def get_schema(version: str) -> Response:
        """JSON Schema 2020-12 of one version."""
        if version != SCHEMA_VERSION:
            raise NotFound(f"There is no event schema {version}; there is {SCHEMA_VERSION}.")
        return MsgspecResponse(event_json_schema(), media_type="application/schema+json")

    return router


def _tenant_of(caller: Principal) -> TenantId:
    if caller.tenant_id is None:
        raise Forbidden("Events are sent and looked up with a tenant's own credential.")
    return caller.tenant_id


async def _audit_mismatch(request: Request, caller: Principal, tenant_id: TenantId) -> None:
    trail: AuditTrail = request.app.state.audit
    await trail.record(
        AuditEntry(
            tenant_id=tenant_id,
            actor=caller.subject,
            actor_kind=caller.kind,
            action=str(Action.EVENTS_WRITE),
            object_ref="POST /api/v2/events/batch",
            outcome="denied",
            detail={"reason": "tenant"},
        )
    )


def _answer(results: list[EventResult]) -> Response:
    counts = {status: sum(result.status is status for result in results) for status in Status}
    good = counts[Status.ACCEPTED] + counts[Status.DUPLICATE]
    headers: dict[str, str] = {}
    if good == len(results):
        code = 202
    elif good:
        code = 207
    elif counts[Status.UNAVAILABLE]:
        code, headers = 503, {"Retry-After": "1"}
    else:
        code = 422
    return MsgspecResponse(
        {"results": results, "summary": {"received": len(results), **{str(status): n for status, n in counts.items()}}},
        status_code=code,
        headers=headers,
    )
