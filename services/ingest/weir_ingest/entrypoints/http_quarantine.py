"""``/api/v2/events/quarantine``: what was refused and why; look at it, mend it, send it on, or throw it away."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.errors import RetryError
from weir_common.http import NOT_FOUND, CursorParameter, MsgspecResponse, answer, audit_access, decode_body, principal
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound, Unavailable
from weir_common.time_parameter import TIME_SCHEMA, read_time

from weir_ingest.domain.quarantine import EventType, HeldEvent, HeldState, Selection
from weir_ingest.domain.validate import InvalidEvent, validate
from weir_ingest.mend_refused import MAX_MENDED, MendRefused, require_selection, summary_of
from weir_ingest.ports import QuarantineStore, Seal

PREFIX = "/api/v2/events/quarantine"
MAX_LIMIT = 500
_REASONS = 100
State = Literal["held", "replayed", "discarded", "all"]


class MendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``patch``: RFC 6902, applied to each event of the selection."""

    selection: Selection
    patch: list[dict[str, Any]] = []
    dry_run: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_MENDED)] = MAX_MENDED


class DiscardRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to throw away."""

    selection: Selection


_, QUARANTINE_SCHEMAS = msgspec.json.schema_components(
    [MendRequest, DiscardRequest], ref_template="#/components/schemas/{name}"
)
"""For the OpenAPI document."""
_mend = msgspec.json.Decoder(MendRequest)
_discard = msgspec.json.Decoder(DiscardRequest)


def quarantine_router(store: QuarantineStore, seal: Seal, mend: MendRefused, *, max_event_bytes: int) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["quarantine"])

    @router.get(
        "", summary="What was refused", responses=answer("A page of entries", "tenant_id", "events", "next_cursor")
    )
    async def list_held(
        caller: Annotated[Principal, principal(Action.EVENTS_READ)],
        state: Annotated[State, Query(description="`held` (default), `replayed`, `discarded` or `all`")] = "held",
        pointer: Annotated[
            str | None, Query(description="Only with a fault at this place, `*` for list indexes")
        ] = None,
        event_type: Annotated[EventType | None, Query(description="Only these")] = None,
        since: Annotated[
            str | None, Query(description="Refused at or after (RFC 3339)", json_schema_extra=TIME_SCHEMA)
        ] = None,
        until: Annotated[
            str | None, Query(description="Refused before (RFC 3339)", json_schema_extra=TIME_SCHEMA)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 50,
        cursor: CursorParameter = None,
    ) -> Response:
        """Newest first, without the events themselves. The same text refused again is one entry, `seen` more often."""
        tenant_id = _tenant_of(caller)
        selection = Selection(
            pointer=pointer,
            event_type=event_type,
            since=None if since is None else read_time("since", since),
            until=None if until is None else read_time("until", until),
        )
        try:
            page = await store.page(
                tenant_id,
                selection,
                states=tuple(HeldState) if state == "all" else (HeldState(state),),
                after=_cursor(cursor),
                limit=limit + 1,
            )
        except RetryError as error:
            raise _away() from error
        shown = page[:limit]
        last = shown[-1] if len(page) > limit else None
        return MsgspecResponse(
            {
                "tenant_id": tenant_id,
                "events": [_document(event) for event in shown],
                "next_cursor": None
                if last is None
                else encode_cursor([last.last_refused_at.isoformat(), str(last.quarantine_id)]),
            }
        )

    @router.get(
        "/reasons",
        summary="Why events were refused, and how often",
        responses=answer("The faults", "tenant_id", "reasons"),
    )
    async def reasons(caller: Annotated[Principal, principal(Action.EVENTS_READ)]) -> Response:
        """Each fault among what is held: `entries` of the quarantine, `events` with every repeat. The most frequent first."""
        tenant_id = _tenant_of(caller)
        try:
            totals = await store.reasons(tenant_id, limit=_REASONS)
        except RetryError as error:
            raise _away() from error
        return MsgspecResponse({"tenant_id": tenant_id, "reasons": totals})

    @router.post(
        "/mend",
        summary="Mend held events and send them on",
        responses=answer("What became of each", "dry_run", "results", "summary"),
        openapi_extra=_takes("MendRequest"),
    )
    async def mend_held(
        request: Request, caller: Annotated[Principal, principal(Action.QUARANTINE_MANAGE)]
    ) -> Response:
        """Applies a JSON patch (RFC 6902) to up to 1,000 held events and sends those that are valid then, oldest first.

        With `dry_run` nothing is sent: try it first. What is wrong still stays held as it was. Audited.

        Body: `{"selection": {"pointer": "/event_metadata/timestamp"}, "patch": [{"op": "move", "from": "/event_metadata/time",
        "path": "/event_metadata/timestamp"}], "dry_run": true}`. A selection names `quarantine_ids`, or properties: `pointer`,
        `expected`, `event_type`, `since`, `until`.
        """
        tenant_id = _tenant_of(caller)
        asked = decode_body(_mend, await request.body())
        _check(asked.selection)
        if not asked.dry_run:
            await _record(request, caller, tenant_id, "mend")
        try:
            results = await mend(tenant_id, asked.selection, asked.patch, dry_run=asked.dry_run, limit=asked.limit)
        except RetryError as error:
            raise _away() from error
        return MsgspecResponse({"dry_run": asked.dry_run, "results": results, "summary": summary_of(results)})

    @router.post(
        "/discard",
        summary="Throw held events away",
        responses=answer("How many", "discarded"),
        openapi_extra=_takes("DiscardRequest"),
    )
    async def discard(request: Request, caller: Annotated[Principal, principal(Action.QUARANTINE_MANAGE)]) -> Response:
        """Deletes the texts of up to 1,000 held events; that they were refused stays on record until they expire. Audited."""
        tenant_id = _tenant_of(caller)
        asked = decode_body(_discard, await request.body())
        _check(asked.selection)
        require_selection(asked.selection)
        await _record(request, caller, tenant_id, "discard")
        try:
            held = await store.held(tenant_id, asked.selection, limit=MAX_MENDED)
            count = await store.settle(tenant_id, [event.quarantine_id for event in held], HeldState.DISCARDED)
        except RetryError as error:
            raise _away() from error
        return MsgspecResponse({"discarded": count})

    @router.get(
        # Only ids: else the names of the other routes would be entries that are not there, to methods that they do not have.
        "/{quarantine_id:uuid}",
        summary="One refused event, as it was sent",
        responses={**answer("The entry", "quarantine_id", "state", "reasons"), **NOT_FOUND},
    )
    async def one(
        request: Request,
        caller: Annotated[Principal, principal(Action.QUARANTINE_MANAGE)],
        quarantine_id: UUID,
    ) -> Response:
        """With its text and all its faults. It may hold personal data, so each look is audited."""
        tenant_id = _tenant_of(caller)
        try:
            event = await store.get(tenant_id, quarantine_id)
        except RetryError as error:
            raise _away() from error
        if event is None:
            raise NotFound(f"There is no quarantined event {quarantine_id}.")
        document = _document(event)
        if event.sealed is not None:
            await _record(request, caller, tenant_id, "look")
            text = seal.open(tenant_id, quarantine_id, event.sealed)
            judged = validate(text, max_bytes=max_event_bytes)
            document["event"] = msgspec.Raw(text)
            document["errors"] = judged.errors if isinstance(judged, InvalidEvent) else ()
        return MsgspecResponse(document)

    return router


def _takes(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


def _document(event: HeldEvent) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.structs.asdict(event)
    del document["sealed"]
    return document


async def _record(request: Request, caller: Principal, tenant_id: TenantId, what: str) -> None:
    path = f"{request.method} {request.scope.get('route_path') or request.url.path}"
    await audit_access(
        request.app.state.audit, path, caller, tenant_id, Action.QUARANTINE_MANAGE, "success", f"quarantine_{what}"
    )


def _tenant_of(caller: Principal) -> TenantId:
    if caller.tenant_id is None:
        raise Forbidden("The quarantine is looked at and mended with a tenant's own credential.")
    return caller.tenant_id


def _check(selection: Selection) -> None:
    for name in ("since", "until"):
        moment = getattr(selection, name)
        if moment is not None and moment.tzinfo is None:
            raise InvalidRequest(
                "A time has no zone.",
                errors=[FieldError(f"/selection/{name}", "a time with its zone (RFC 3339)", moment.isoformat())],
            )
    if selection.quarantine_ids is not None and len(selection.quarantine_ids) > MAX_MENDED:
        raise InvalidRequest(
            "Too many at once.",
            errors=[
                FieldError(
                    "/selection/quarantine_ids", f"at most {MAX_MENDED} ids", f"{len(selection.quarantine_ids)} ids"
                )
            ],
        )


def _cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    refused_at, quarantine_id = decode_cursor(cursor, 2)
    try:
        moment = datetime.fromisoformat(str(refused_at))
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment, UUID(str(quarantine_id))
    except ValueError:
        raise _bad("cursor", "the value of next_cursor of an earlier page", cursor[:80]) from None


def _away() -> Unavailable:
    return Unavailable("The quarantine cannot be read now; try again.")


def _bad(parameter: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(
        f"The parameter '{parameter}' is not valid.",
        errors=[FieldError(parameter=parameter, expected=expected, got=got[:80])],
    )
