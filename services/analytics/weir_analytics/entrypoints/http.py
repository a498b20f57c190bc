"""``GET /api/v2/analytics/realtime/dashboard`` and ``GET /api/v2/analytics/metrics``: decode, call, encode."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import MsgspecResponse, TenantParameter, answer, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest
from weir_common.time_parameter import TIME_SCHEMA, read_time

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.entrypoints.documents import DASHBOARD_EXAMPLE, dashboard_document, metric_document
from weir_analytics.read_dashboard import ReadDashboard

DEFAULT_RANGE = timedelta(hours=24)


def analytics_router(read_dashboard: ReadDashboard, catalogue: Catalogue) -> APIRouter:
    """The routes of analytics."""
    router = APIRouter(tags=["analytics"])

    @router.get(
        "/api/v2/analytics/realtime/dashboard",
        summary="How the shop is doing",
        responses={
            200: {
                "description": "Figures",
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": list(DASHBOARD_EXAMPLE)},
                        "example": DASHBOARD_EXAMPLE,
                    }
                },
            }
        },
    )
    async def get_dashboard(
        request: Request,
        caller: Annotated[Principal, principal(Action.DASHBOARD_READ)],
        tenant_id: TenantParameter = None,
        start: Annotated[
            str | None,
            Query(
                alias="from",
                description="RFC 3339, inclusive; default 24 hours before `to`",
                examples=["2026-11-24T00:00:00Z"],
                json_schema_extra=TIME_SCHEMA,
            ),
        ] = None,
        end: Annotated[
            str | None,
            Query(
                alias="to",
                description="RFC 3339, exclusive; default now",
                examples=["2026-11-25T00:00:00Z"],
                json_schema_extra=TIME_SCHEMA,
            ),
        ] = None,
        currency: Annotated[
            str | None,
            Query(
                description="ISO 4217; leaves out money in other currencies",
                examples=["USD"],
                json_schema_extra={"pattern": "^[A-Za-z]{3}$"},
            ),
        ] = None,
    ) -> Response:
        """Every metric of the catalogue over whole minutes of event time, with its course in at most 242 points.

        An accepted event is counted within a second. Money is a decimal in a string, one figure for each currency; currencies
        are never added. Ranges of up to 4 hours are drawn by minutes, of up to 60 hours by quarter hours, up to 31 days.
        """
        tenant = _tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.DASHBOARD_READ)
        begin, finish = _range(start, end)
        wanted = _currency(currency)
        try:
            dashboard = await read_dashboard(tenant, begin, finish)
        except ValueError as error:
            raise InvalidRequest(
                f"The dashboard cannot show this: {error}.",
                errors=[
                    FieldError(parameter="from", expected="before `to`, by at most 31 days", got=start or "nothing")
                ],
            ) from error
        return MsgspecResponse(dashboard_document(tenant, dashboard, wanted))

    @router.get(
        "/api/v2/analytics/metrics",
        summary="What the figures mean",
        responses=answer("The catalogue", "metrics"),
    )
    async def get_metrics(caller: Annotated[Principal, principal(Action.DASHBOARD_READ)]) -> Response:
        """The catalogue: of every metric its definition, whose it follows, a worked example and the mistake easily made."""
        return MsgspecResponse({"metrics": [metric_document(metric) for metric in catalogue]})

    return router


def _tenant(caller: Principal, asked: str | None) -> TenantId:
    if asked:
        return TenantId(asked)
    if caller.tenant_id is None:
        raise InvalidRequest(
            "An operator says which tenant.",
            errors=[FieldError(parameter="tenant_id", expected="a tenant's id", got="nothing")],
        )
    return caller.tenant_id


def _range(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    finish = read_time("to", end) if end is not None else datetime.now(UTC)
    begin = read_time("from", start) if start is not None else finish - min(DEFAULT_RANGE, finish - _EARLIEST)
    return begin, finish


_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def _currency(text: str | None) -> str | None:
    if text is None:
        return None
    code = text.upper()
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise InvalidRequest(
            "`currency` is no currency.",
            errors=[FieldError(parameter="currency", expected="ISO 4217, e.g. USD", got=text[:100])],
        )
    return code
