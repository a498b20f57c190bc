"""Logs, spans and metrics: JSON lines on stderr, OTLP for spans, Prometheus text for metrics.

Cost decides the sampling: a recorded span costs about 30 µs, so there is one span a request, a micro-batch and a call, and
a span an event only where the sender's trace is sampled (head decision at the gateway, ``traceparent`` flag 01).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any

import structlog
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import EventDict, WrappedLogger

from weir_common.settings import TelemetrySettings

LATENCY_BUCKETS_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Fit for an objective of 50 ms: six bounds between 10 and 50 ms."""

_propagator = TraceContextTextMapPropagator()


def tracer() -> trace.Tracer:
    """The tracer of this process."""
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=4)
def _tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    # A provider makes a new one each time, which costs as much as a span that is not recorded.
    return provider.get_tracer("weir")


def meter() -> metrics.Meter:
    """The meter of this process; names in base units, e.g. ``weir.fraud.score.duration`` with unit ``s``."""
    return metrics.get_meter("weir")


def context_of(traceparent: str | None) -> Context | None:
    """The remote context that a ``traceparent`` names; None if absent or malformed."""
    if traceparent is None:
        return None
    context = _propagator.extract({"traceparent": traceparent})
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def traceparent_of(context: Context | None = None) -> str | None:
    """The ``traceparent`` of a context (default: the current one); None outside of any trace."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context)
    return carrier.get("traceparent")


def current_trace_id() -> str:
    """32 hex digits, or the empty string outside of any trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def configure_logging(service: str, settings: TelemetrySettings) -> None:
    """One JSON object a line on stderr: time, severity, service, trace, tenant (from the context) and the event."""

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service.name"] = service
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        _add_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("aiokafka", "uvicorn.access", "httpx", "temporalio", "pyiceberg"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def is_sampled() -> bool:
    """Whether the current trace is recorded."""
    return trace.get_current_span().is_recording()


@contextmanager
def span_if_sampled(name: str, attributes: Mapping[str, str | int]) -> Iterator[trace.Span]:
    """A span within a trace that is recorded, nothing within any other: one that records nothing costs as much as ten dictionaries."""
    current = trace.get_current_span()
    if not current.is_recording():
        yield current
        return
    with tracer().start_as_current_span(name, attributes=attributes) as span:
        yield span


@contextmanager
def statement_spans_if_sampled() -> Iterator[None]:
    """Inside a trace that is not sampled, statements to PostgreSQL get no spans: even one that records nothing costs 45 µs."""
    if trace.get_current_span().is_recording():
        yield
        return
    with suppress_instrumentation():
        yield


def latency_views() -> list[View]:
    """Buckets for histograms of seconds. For histograms only: a gauge of that name would become one, and its value be lost."""
    return [
        View(
            instrument_type=Histogram,
            instrument_name=pattern,
            aggregation=ExplicitBucketHistogramAggregation(boundaries=LATENCY_BUCKETS_SECONDS),
        )
        for pattern in ("*.duration", "*.latency", "*.lag")
    ]


@asynccontextmanager
async def setup_telemetry(settings: TelemetrySettings, service: str, version: str = "0.1.0") -> AsyncIterator[None]:
    """Install the process-wide providers and take them down again within two seconds, collector dead or alive."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    configure_logging(service, settings)
    propagate.set_global_textmap(_propagator)
    resource = Resource.create(
        {
            "service.name": service,
            "service.namespace": "weir",
            "service.version": version,
            "service.instance.id": f"{os.uname().nodename}-{os.getpid()}",
            "deployment.environment.name": settings.environment,
        }
    )
    tracer_provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(0.01)))
    if settings.otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=True, timeout=2)
        tracer_provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    meter_provider = MeterProvider(
        resource=resource,
        metric_readers=[PrometheusMetricReader()],
        views=latency_views(),
        # The page has none, and looking for one costs each measurement as much as adding it up.
        exemplar_filter=AlwaysOffExemplarFilter(),
    )
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    statements = AsyncPGInstrumentor()
    statements.instrument()
    try:
        yield
    finally:
        statements.uninstrument()
        tracer_provider.force_flush(timeout_millis=1_000)
        tracer_provider.shutdown()
        meter_provider.shutdown(timeout_millis=1_000)
