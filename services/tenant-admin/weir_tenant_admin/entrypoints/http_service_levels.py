"""REST: the service level report of a tenant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import NOT_FOUND, MsgspecResponse, TenantParameter, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_tenant_admin.domain.error_budget import Budget, Counts
from weir_tenant_admin.domain.tenant import is_tenant_id
from weir_tenant_admin.domain.timeframe import TIMEFRAME_PATTERN, parse_timeframe
from weir_tenant_admin.entrypoints.documentation import answers
from weir_tenant_admin.ports import TenantStore
from weir_tenant_admin.report_service_levels import Indicator, Latency, Report, ServiceLevelReport


class CountsView(msgspec.Struct, frozen=True):
    """``value`` is good / valid; null when nothing valid was seen."""

    good: int
    valid: int
    bad: int
    value: float | None


class BudgetView(msgspec.Struct, frozen=True):
    """The error budget of the timeframe, in seconds of total failure; negative when overdrawn."""

    total_seconds: float
    left_seconds: float
    left_percent: float


class ExcludedView(msgspec.Struct, frozen=True):
    """Requests that are not valid, and why."""

    reason: str
    requests: int


class IndicatorView(msgspec.Struct, frozen=True):
    """One promise and what was measured. ``counts`` null and status ``no_data`` where nothing was: never 100 %."""

    name: str
    status: Literal["met", "missed", "no_data"]
    objective: float
    good_means: str
    valid_means: str
    unit: str
    counts: CountsView | None
    error_budget: BudgetView | None
    minutes: CountsView | None
    error_budget_by_minutes: BudgetView | None
    burn: dict[str, float | None]
    excluded: list[ExcludedView]
    note: str


class LatencyView(msgspec.Struct, frozen=True):
    """Quantiles in seconds, from a log histogram: at most 20 % too high."""

    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


class ReportView(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """Service levels of a tenant over a timeframe. Requests are counted by the services that answer them."""

    tenant_id: str
    timeframe: str
    since: datetime
    until: datetime
    counted_by: str
    indicators: list[IndicatorView]
    latency: LatencyView
    fraud_latency: LatencyView


TYPES = (ReportView,)

Timeframe = Annotated[
    str, Query(description="5m to 30d: a number and m, h or d", json_schema_extra={"pattern": TIMEFRAME_PATTERN})
]


def service_levels_router(report: ServiceLevelReport, store: TenantStore) -> APIRouter:
    """GET /api/v2/metrics/sla."""
    router = APIRouter(prefix="/api/v2/metrics", tags=["service levels"])

    @router.get(
        "/sla", summary="Service levels of a tenant", responses={**answers(200, ReportView, "The report"), **NOT_FOUND}
    )
    async def service_levels(
        request: Request,
        caller: Annotated[Principal, principal(Action.SLA_READ)],
        tenant_id: TenantParameter = None,
        timeframe: Timeframe = "24h",
    ) -> Response:
        tenant = required_tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.SLA_READ)
        length = required_timeframe(timeframe)
        if await store.tenant(tenant) is None:
            raise NotFound(f"There is no tenant '{tenant}'.")
        return MsgspecResponse(_view(await report(tenant, length), timeframe))

    return router


def required_tenant(caller: Principal, tenant_id: str | None) -> TenantId:
    """The tenant that was asked for, else the caller's own; ``InvalidRequest`` when neither is there or it is no id."""
    asked = tenant_id if tenant_id is not None else caller.tenant_id
    if asked is None or not is_tenant_id(asked):
        raise InvalidRequest(
            "Which tenant?",
            errors=[FieldError(parameter="tenant_id", expected="a tenant's id", got=(asked or "nothing")[:80])],
        )
    return TenantId(asked)


def required_timeframe(timeframe: str) -> timedelta:
    """The length of a timeframe; ``InvalidRequest`` when it is none that can be reported."""
    length = parse_timeframe(timeframe)
    if length is None:
        raise InvalidRequest(
            "The timeframe is not one that can be reported.",
            errors=[
                FieldError(parameter="timeframe", expected="a number and m, h or d, from 5m to 30d", got=timeframe[:80])
            ],
        )
    return length


def _view(report: Report, timeframe: str) -> ReportView:
    return ReportView(
        tenant_id=report.tenant_id,
        timeframe=timeframe,
        since=report.since,
        until=report.until,
        counted_by="services",
        indicators=[_indicator_view(indicator) for indicator in report.indicators],
        latency=_latency_view(report.latency),
        fraud_latency=_latency_view(report.fraud_latency),
    )


def _indicator_view(indicator: Indicator) -> IndicatorView:
    objective = indicator.objective
    return IndicatorView(
        name=objective.name,
        status=indicator.state,  # type: ignore[arg-type]
        objective=objective.target,
        good_means=objective.good,
        valid_means=objective.valid,
        unit=indicator.unit,
        counts=_counts_view(indicator.counts),
        error_budget=_budget_view(indicator.budget),
        minutes=_counts_view(indicator.by_minute),
        error_budget_by_minutes=_budget_view(indicator.budget_by_minute),
        burn=dict(indicator.burn),
        excluded=[ExcludedView(part.reason, part.requests) for part in indicator.excluded],
        note=indicator.note,
    )


def _counts_view(counts: Counts | None) -> CountsView | None:
    if counts is None:
        return None
    return CountsView(counts.good, counts.valid, counts.bad, counts.ratio)


def _budget_view(budget: Budget | None) -> BudgetView | None:
    if budget is None:
        return None
    return BudgetView(budget.total_seconds, budget.left_seconds, budget.left_percent)


def _latency_view(latency: Latency) -> LatencyView:
    return LatencyView(latency.p50, latency.p95, latency.p99)
