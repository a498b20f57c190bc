"""Receipts and the schema over HTTP: decode, call, encode."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from weir_common.auth import Action, Principal
from weir_common.errors import RetryError
from weir_common.events import SCHEMA_VERSIONS, event_json_schema
from weir_common.http import NOT_FOUND, PUBLIC, MsgspecResponse, answer, principal
from weir_common.ids import TenantId
from weir_common.problems import Forbidden, NotFound, Unavailable

from weir_ingest.drift_book import KEPT_DAYS as MAX_DAYS
from weir_ingest.ports import DriftStore
from weir_ingest.read_receipt import ReadReceipt

_MAX_FIELDS = 1_000

_SCHEMA = "application/schema+json"


class _SchemaResponse(MsgspecResponse):
    media_type = _SCHEMA


def ingest_router(read_receipt: ReadReceipt, drift: DriftStore) -> APIRouter:
    """The routes of ingest."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/api/v2/events/receipts/{event_id}",
        summary="Look up what became of an event",
        responses={**answer("The receipt", "event_id", "status", "receipt", "fates", "erasure"), **NOT_FOUND},
    )
    async def get_receipt(
        caller: Annotated[Principal, principal(Action.EVENTS_READ)],
        event_id: Annotated[
            str,
            Path(
                max_length=64,
                description="The event's UUID",
                examples=["6f1e2d3c-0a9b-4c8d-9e7f-112233445566"],
                json_schema_extra={"format": "uuid"},
            ),
        ],
    ) -> Response:
        """The receipt of an event that was accepted within the last 24 hours, and how far it has come since.

        `fates`: scored, checked by the rules, counted on the dashboard, archived; each `done`, `pending`, or `unknown` while the
        service that does it does not answer. `status` is `erased` instead of `accepted` once the key of the person that the event
        is about was destroyed; `erasure` says what that means.

        `receipt.consent`, where the event's subject refused a consent: what was `refused`, and the purposes from which the event
        is `withheld`.
        """
        return MsgspecResponse(await read_receipt(_tenant_of(caller), event_id))

    @router.get("/api/v2/events/drift", summary="Fields that no schema knows")
    async def get_drift(
        caller: Annotated[Principal, principal(Action.EVENTS_READ)],
        days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="How many days back, today included")] = 7,
    ) -> Response:
        """What came with events beyond their schema, by field and version: kept with the event, and a sign of a changed sender.

        Counted within seconds. After the first hundred fields of a tenant the rest are `other`.
        """
        tenant_id = _tenant_of(caller)
        since = datetime.now(UTC).date() - timedelta(days=days - 1)
        try:
            fields = await drift.read(tenant_id, since, limit=_MAX_FIELDS)
        except RetryError as error:
            raise Unavailable("The counts cannot be read now; try again.") from error
        return MsgspecResponse({"tenant_id": tenant_id, "since": since, "fields": fields})

    @router.get(
        "/api/v2/schemas/event/{version}",
        summary="The event schema",
        responses={
            200: {"description": "The schema", "content": {_SCHEMA: {"schema": {"type": "object"}}}},
            **NOT_FOUND,
        },
        response_class=_SchemaResponse,
        openapi_extra=PUBLIC,
    )
    async def get_schema(
        version: Annotated[str, Path(max_length=64, json_schema_extra={"enum": [*SCHEMA_VERSIONS]})],
    ) -> Response:
        """JSON Schema 2020-12 of one version."""
        if version not in SCHEMA_VERSIONS:
            raise NotFound(f"There is no event schema {version[:20]}; there are {', '.join(SCHEMA_VERSIONS)}.")
        return _SchemaResponse(event_json_schema(version))

    return router


def _tenant_of(caller: Principal) -> TenantId:
    if caller.tenant_id is None:
        raise Forbidden("Events are sent and looked up with a tenant's own credential.")
    return caller.tenant_id
