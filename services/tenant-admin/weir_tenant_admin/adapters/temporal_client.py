"""Connecting to Temporal, and starting the workflows that apply plans."""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError
from weir_common.errors import RetryError
from weir_common.settings import TemporalSettings

from weir_tenant_admin.domain.scale_messages import WORKFLOW_NAME, ScaleOrder, plan_ref, workflow_id
from weir_tenant_admin.ports import ScalePlan

_RPC_TIMEOUT = timedelta(seconds=5)


def temporal_runtime() -> Runtime:
    """One a process. Without it the SDK's core writes coloured lines of its own to stderr, where JSON is expected."""
    forwarding = LogForwardingConfig(logging.getLogger("temporalio.core"), append_target_to_name=False)
    filter_ = TelemetryFilter(core_level="WARN", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter_, forwarding)))


async def connect(temporal: TemporalSettings, *, runtime: Runtime | None = None, lazy: bool = False) -> Client:
    """A client whose calls are traced. ``lazy`` connects with the first call."""
    return await Client.connect(
        temporal.target,
        namespace=temporal.namespace,
        interceptors=[TracingInterceptor()],
        runtime=runtime,
        lazy=lazy,
    )


class TemporalScaleWorkflows:
    """``ScaleWorkflows``."""

    def __init__(self, client: Client, task_queue: str, controller_wait_seconds: float) -> None:
        self._client = client
        self._task_queue = task_queue
        self._controller_wait_seconds = controller_wait_seconds

    async def start(self, plan: ScalePlan) -> bool:
        """False while another plan of the same target is being applied. ``RetryError`` if Temporal does not take it."""
        try:
            await self._client.start_workflow(
                WORKFLOW_NAME,
                ScaleOrder(plan_ref(plan.tenant_id, plan.plan_id), self._controller_wait_seconds),
                id=workflow_id(plan.tenant_id, plan.service),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                rpc_timeout=_RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            return False
        except (RPCError, RuntimeError) as error:
            # A client that has not connected yet reports a RuntimeError.
            reason = error.status.name.lower() if isinstance(error, RPCError) else type(error).__name__
            raise RetryError(f"Temporal did not take the start of a workflow: {reason}") from error
        return True
