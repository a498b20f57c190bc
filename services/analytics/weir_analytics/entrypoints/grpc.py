"""``AnalyticsService`` for internal systems: same contract as over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from weir.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from weir_common.auth import Action, Authenticator
from weir_common.consent import ASKS
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.problems import FieldError, Forbidden, InvalidRequest

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.dashboard import Dashboard, MetricFigures
from weir_analytics.domain.metric import Additivity, Distinct, Figure, Quantile, Ratio, Total
from weir_analytics.entrypoints.documents import figure_of_ratio, named_dimensions, plain, speaks_of
from weir_analytics.read_dashboard import ReadDashboard

DEFAULT_RANGE = timedelta(hours=24)

_ADDITIVITY = {
    Additivity.ADDITIVE: analytics_pb2.ADDITIVITY_ADDITIVE,
    Additivity.SEMI_ADDITIVE: analytics_pb2.ADDITIVITY_SEMI_ADDITIVE,
    Additivity.RATIO: analytics_pb2.ADDITIVITY_RATIO,
    Additivity.DISTINCT: analytics_pb2.ADDITIVITY_DISTINCT,
    Additivity.QUANTILE: analytics_pb2.ADDITIVITY_QUANTILE,
    Additivity.TOP: analytics_pb2.ADDITIVITY_TOP,
}


class AnalyticsServicer(analytics_pb2_grpc.AnalyticsServiceServicer):
    """The credential rides in the metadata."""

    def __init__(self, read_dashboard: ReadDashboard, catalogue: Catalogue, authenticator: Authenticator) -> None:
        self._read_dashboard = read_dashboard
        self._catalogue = catalogue
        self._authenticator = authenticator

    async def GetDashboard(  # noqa: N802 - the name is the protocol's
        self, request: analytics_pb2.GetDashboardRequest, context: grpc.aio.ServicerContext
    ) -> analytics_pb2.GetDashboardResponse:
        """INVALID_ARGUMENT for a range that is empty or longer than 31 days."""
        caller = caller_of(context, self._authenticator, Action.DASHBOARD_READ)
        if not request.tenant_id:
            raise InvalidRequest(errors=[FieldError("/tenant_id", "a tenant's id", "nothing")])
        tenant_id = TenantId(request.tenant_id)
        if not caller.may_enter(tenant_id):
            raise Forbidden("The credential belongs to another tenant.")
        try:
            end = _time(request.end_time) if request.HasField("end_time") else datetime.now(UTC)
            start = _time(request.start_time) if request.HasField("start_time") else end - DEFAULT_RANGE
            dashboard = await self._read_dashboard(tenant_id, start, end)
        except (ValueError, OverflowError) as error:
            raise InvalidRequest(
                str(error), errors=[FieldError("/start_time", "before end_time, by at most 31 days", str(error))]
            ) from error
        return _response(tenant_id, dashboard, request.currency or None)

    async def ListMetrics(  # noqa: N802 - the name is the protocol's
        self, request: analytics_pb2.ListMetricsRequest, context: grpc.aio.ServicerContext
    ) -> analytics_pb2.ListMetricsResponse:
        """The catalogue."""
        caller_of(context, self._authenticator, Action.DASHBOARD_READ)
        return analytics_pb2.ListMetricsResponse(
            metrics=[
                analytics_pb2.MetricDefinition(
                    name=metric.name,
                    title=metric.title,
                    additivity=_ADDITIVITY[metric.additivity],
                    unit=metric.unit,
                    dimensions=metric.dimensions,
                    source=metric.source,
                    filter=metric.where,
                    value=metric.value,
                    description=metric.description,
                    follows=metric.follows,
                    trap=metric.trap,
                    purpose=metric.purpose,
                    asks_consent=sorted(ASKS[metric.purpose]),
                )
                for metric in self._catalogue
            ]
        )


def _response(tenant_id: TenantId, dashboard: Dashboard, currency: str | None) -> analytics_pb2.GetDashboardResponse:
    fresh = dashboard.freshness
    window = dashboard.window
    return analytics_pb2.GetDashboardResponse(
        tenant_id=tenant_id,
        start_time=Timestamp(seconds=window.start),
        end_time=Timestamp(seconds=window.end),
        step_seconds=window.step,
        first_bucket=Timestamp(seconds=window.buckets[0]),
        as_of=_timestamp(dashboard.as_of),
        freshness=analytics_pb2.Freshness(
            newest_event_time=_timestamp(fresh.newest_event_at),
            newest_accepted_time=_timestamp(fresh.newest_accepted_at),
            applied_time=_timestamp(fresh.applied_at),
        ),
        metrics=[_metric_figures(each, currency) for each in dashboard.metrics],
        left_out=dict(dashboard.left_out),
    )


def _metric_figures(each: MetricFigures, currency: str | None) -> analytics_pb2.MetricFigures:
    metric = each.metric
    return analytics_pb2.MetricFigures(
        metric=metric.name,
        figures=[
            analytics_pb2.Figure(dimensions=named_dimensions(metric, dimensions), value=_value(figure))
            for dimensions, figure in each.figures.items()
            if speaks_of(metric, dimensions, currency)
        ],
        series=[
            analytics_pb2.Series(
                dimensions=named_dimensions(metric, dimensions), points=[_value(point) for point in points]
            )
            for dimensions, points in each.series.items()
            if speaks_of(metric, dimensions, currency)
        ],
    )


def _value(figure: Figure) -> analytics_pb2.FigureValue:
    if isinstance(figure, Total):
        return analytics_pb2.FigureValue(total=analytics_pb2.Total(value=plain(figure.value), count=figure.count))
    if isinstance(figure, Ratio):
        return analytics_pb2.FigureValue(
            ratio=analytics_pb2.Ratio(
                value=figure_of_ratio(figure), numerator=plain(figure.numerator), denominator=plain(figure.denominator)
            )
        )
    if isinstance(figure, Distinct):
        return analytics_pb2.FigureValue(distinct=analytics_pb2.Distinct(count=figure.count, exact=figure.exact))
    if isinstance(figure, Quantile):
        return analytics_pb2.FigureValue(quantile=analytics_pb2.Quantile(value=figure.value, count=figure.count))
    return analytics_pb2.FigureValue(
        top=analytics_pb2.TopList(
            places=[
                analytics_pb2.Place(item=place.item, value=plain(place.value), count=place.count) for place in figure
            ]
        )
    )


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp
