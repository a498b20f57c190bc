"""``/api/v2/ml/declines/fraud``: a tenant's share of declines, the corridor that it must stay in, and the halts of declines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import Meta
from weir_common.auth import Action, Principal
from weir_common.http import CONFLICT, CursorParameter, MsgspecResponse, TenantParameter, answer, decode_body, principal
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.decline_corridor import DeclineCorridor, Halt, position_of
from weir_fraud.entrypoints.tenant_asked import enter
from weir_fraud.lift_halt import LiftHalt
from weir_fraud.ports import DeclineStore, PoliciesInForce

PREFIX: Final = "/api/v2/ml/declines/fraud"
MAX_LIMIT: Final = 100


class LiftRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``halted_at``: of the halt that was seen, so that nobody lifts another one; ``note``: why."""

    halted_at: Annotated[datetime, Meta(tz=True)]
    note: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=500,
            pattern=r"^[^\u0000-\u001f\u007f]*$",
            description="Kept with the halt; no personal data",
        ),
    ]


_, DECLINE_SCHEMAS = msgspec.json.schema_components([LiftRequest], ref_template="#/components/schemas/{name}")
"""For the OpenAPI document."""
_lift = msgspec.json.Decoder(LiftRequest)
_HALT: Final = (
    "halted_at",
    "decisions",
    "declines",
    "share",
    "corridor",
    "policy_version",
    "lifted_at",
    "lifted_by",
    "note",
)
_EXAMPLE: Final[dict[str, Any]] = {
    "halted_at": "2026-11-25T10:30:00.123456Z",
    "note": "The new rule declined every order from abroad; it is switched off, cases of it were looked through",
}


def declines_router(
    store: DeclineStore,
    policies: PoliciesInForce,
    usual: DeclineCorridor,
    lift: LiftHalt,
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["fraud declines"])

    @router.get(
        "",
        summary="The share of declines",
        responses=answer(
            "It", "tenant_id", "corridor", "corridor_of", "decisions", "declines", "share", "position", "halt"
        ),
    )
    async def current(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Of the corridor's window, the present minute included; seconds behind. `position`: `inside` the corridor, `above` or `below` it,
        or `too_few` decisions. The corridor is the policy's `decline_corridor` (then `corridor_of` is the policy's version), else everybody's
        (null).

        While `halt` is not null, what would be declined is sent to review, with `declines_halted` true; only the deny list still declines.
        Decisions of the deny list are not counted; what would have been declined during a halt is.
        """
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_POLICY_READ)
        policy = (await policies([tenant]))[tenant]
        own = policy.policy.decline_corridor
        corridor = own or usual
        counted = await store.counted(tenant, corridor.window_minutes, clock())
        halt = await store.in_force(tenant)
        return MsgspecResponse(
            {
                "tenant_id": tenant,
                "corridor": corridor,
                "corridor_of": None if own is None else policy.version,
                "decisions": counted.decisions,
                "declines": counted.declines,
                "share": counted.share,
                "position": position_of(corridor, counted).value,
                "halt": None if halt is None else _document(halt),
            }
        )

    @router.get("/halts", summary="All halts", responses=answer("A page", "tenant_id", "halts", "next_cursor"))
    async def halts(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)],
        tenant_id: TenantParameter = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 20,
        cursor: CursorParameter = None,
    ) -> Response:
        """The newest first, with the figures by which each began, and who lifted it."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_POLICY_READ)
        page = await store.halts(tenant, None if cursor is None else _before(cursor), limit + 1)
        shown = page[:limit]
        return MsgspecResponse(
            {
                "tenant_id": tenant,
                "halts": [_document(halt) for halt in shown],
                "next_cursor": encode_cursor([_microseconds(shown[-1].halted_at)]) if len(page) > limit else None,
            }
        )

    @router.post(
        "/lift",
        summary="Decline again",
        responses={**answer("The halt that was lifted", "tenant_id", *_HALT), **CONFLICT},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/LiftRequest"}, "example": _EXAMPLE}
                },
            }
        },
    )
    async def lift_halt(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_DECLINES_LIFT)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Everywhere within five seconds. By an owner or admin with a token of their own, or an operator; audited.

        The share is counted anew from then on: the corridor can be left again as soon as there are enough decisions. 409: that halt is not in
        force (any more).
        """
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_DECLINES_LIFT)
        asked = decode_body(_lift, await request.body())
        lifted = await lift(caller, tenant, asked.halted_at, asked.note)
        return MsgspecResponse({"tenant_id": tenant, **_document(lifted)})

    return router


def _document(halt: Halt) -> dict[str, Any]:
    return {
        "halted_at": halt.halted_at,
        "decisions": halt.decisions,
        "declines": halt.declines,
        "share": halt.declines / halt.decisions,
        "corridor": halt.corridor,
        "policy_version": halt.policy_version,
        "lifted_at": halt.lifted_at,
        "lifted_by": halt.lifted_by,
        "note": halt.note,
    }


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MICROSECONDS: Final = 2**57
"""The year 6537."""


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _before(cursor: str) -> datetime:
    (at,) = decode_cursor(cursor, 1)
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < _MOST_MICROSECONDS:
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out.",
            errors=[
                FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
            ],
        )
    return _EPOCH + timedelta(microseconds=at)
