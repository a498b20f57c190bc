"""Connecting to Temporal: sealed payloads, traced calls, and the SDK's own log among ours."""

import logging

from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.converter import DataConverter
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from weir_common.settings import TemporalSettings


def temporal_runtime() -> Runtime:
    """One a process. Without it the SDK's core writes coloured lines of its own to stderr, where JSON is expected."""
    forwarding = LogForwardingConfig(logging.getLogger("temporalio.core"), append_target_to_name=False)
    filter_ = TelemetryFilter(core_level="WARN", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter_, forwarding)))


async def connect(
    temporal: TemporalSettings, converter: DataConverter, *, runtime: Runtime | None = None, lazy: bool = False
) -> Client:
    """A client whose payloads and failures are sealed. `lazy` connects with the first call."""
    return await Client.connect(
        temporal.target,
        namespace=temporal.namespace,
        data_converter=converter,
        interceptors=[TracingInterceptor()],
        runtime=runtime,
        lazy=lazy,
    )
