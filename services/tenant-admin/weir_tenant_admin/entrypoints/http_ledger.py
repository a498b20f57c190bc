"""REST: the conservation ledger of a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import NOT_FOUND, MsgspecResponse, TenantParameter, principal, tenant_access
from weir_common.problems import NotFound

from weir_tenant_admin.domain.ledger import Done, Minute, Place
from weir_tenant_admin.entrypoints.documentation import answers
from weir_tenant_admin.entrypoints.http_service_levels import Timeframe, required_tenant, required_timeframe
from weir_tenant_admin.ports import TenantStore
from weir_tenant_admin.read_ledger import Books, ReadLedger


class DoneView(msgspec.Struct, frozen=True):
    """What a consumer did with the events."""

    applied: int
    duplicates: int
    quarantined: int


class DifferenceView(msgspec.Struct, frozen=True):
    """Where the books differ, and by how many events: above zero there are too many."""

    place: Place
    events: int
    consumer: str


class MinuteView(msgspec.Struct, frozen=True):
    """One minute of acceptance."""

    minute: datetime
    balanced: bool
    received: int
    fates: dict[str, int]
    consumers: dict[str, DoneView]
    differences: list[DifferenceView]


class LedgerView(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """received = accepted + duplicate + invalid + …, and accepted = what each consumer applied or put aside."""

    tenant_id: str
    since: datetime
    until: datetime
    balanced: bool
    received: int
    fates: dict[str, int]
    consumers: dict[str, DoneView]
    minutes: list[MinuteView]


TYPES = (LedgerView,)


def ledger_router(read: ReadLedger, store: TenantStore) -> APIRouter:
    """GET /api/v2/ops/ledger."""
    router = APIRouter(prefix="/api/v2/ops", tags=["operations"])

    @router.get(
        "/ledger", summary="The conservation ledger", responses={**answers(200, LedgerView, "The books"), **NOT_FOUND}
    )
    async def ledger(
        request: Request,
        caller: Annotated[Principal, principal(Action.SLA_READ)],
        tenant_id: TenantParameter = None,
        timeframe: Timeframe = "1h",
        only_differences: Annotated[bool, Query(description="leave out minutes without any difference")] = False,
    ) -> Response:
        """By tenant and minute: what came in, what became of it, what each consumer did, and where the two differ."""
        tenant = required_tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.SLA_READ)
        length = required_timeframe(timeframe)
        if await store.tenant(tenant) is None:
            raise NotFound(f"There is no tenant '{tenant}'.")
        return MsgspecResponse(_view(await read(tenant, length), only_differences))

    return router


def _view(books: Books, only_differences: bool) -> LedgerView:
    return LedgerView(
        tenant_id=books.tenant_id,
        since=books.since,
        until=books.until,
        balanced=books.balanced,
        received=books.received,
        fates=dict(books.fates),
        consumers={name: _done(done) for name, done in books.consumers.items()},
        minutes=[_minute(minute) for minute in books.minutes if minute.differences or not only_differences],
    )


def _minute(minute: Minute) -> MinuteView:
    return MinuteView(
        minute=minute.minute,
        balanced=minute.balanced,
        received=minute.received,
        fates=dict(minute.fates),
        consumers={name: _done(done) for name, done in minute.consumers.items()},
        differences=[DifferenceView(one.place, one.events, one.consumer) for one in minute.differences],
    )


def _done(done: Done) -> DoneView:
    return DoneView(done.applied, done.duplicates, done.quarantined)
