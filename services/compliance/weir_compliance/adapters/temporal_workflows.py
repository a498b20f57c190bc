"""Starting and steering request workflows."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import structlog
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.problems import Conflict

from weir_compliance.domain.subject_request import workflow_id
from weir_compliance.domain.workflow_messages import WORKFLOW_NAME, SubjectRequestInput

log = structlog.get_logger(__name__)

_RPC_TIMEOUT = timedelta(seconds=5)
_STARTS_AT_ONCE = 50


class TemporalRequestWorkflows:
    """`RequestWorkflows`: the orders to start lie in the table `workflow_start` until Temporal has taken them."""

    def __init__(self, pool: asyncpg.Pool, client: Client, task_queue: str) -> None:
        self._pool = pool
        self._client = client
        self._task_queue = task_queue

    async def start_waiting(self) -> None:
        async with self._pool.acquire(timeout=5) as connection:
            rows = await connection.fetch(
                "SELECT workflow_id, input FROM workflow_start ORDER BY written_at, workflow_id LIMIT $1",
                _STARTS_AT_ONCE,
            )
        for row in rows:
            await self._start(row["workflow_id"], msgspec.json.decode(row["input"], type=SubjectRequestInput))
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute("DELETE FROM workflow_start WHERE workflow_id = $1", row["workflow_id"])

    async def _start(self, id_: str, order: SubjectRequestInput) -> None:
        try:
            await self._client.start_workflow(
                WORKFLOW_NAME,
                order,
                id=id_,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=_RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            # Another instance was faster, or we died between the start and the deletion of the order.
            return
        except (RPCError, RuntimeError) as error:
            # A client that has not connected yet reports a RuntimeError.
            raise RetryError(f"Temporal did not take the start of a workflow: {_reason(error)}") from error

    async def rerun_store(self, tenant_id: TenantId, request_id: UUID, store: str) -> None:
        handle = self._client.get_workflow_handle(workflow_id(tenant_id, request_id))
        try:
            await handle.execute_update("rerun_store", store, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowUpdateFailedError as error:
            code = error.cause.message if isinstance(error.cause, ApplicationError) else "refused"
            raise Conflict(f"The store cannot be asked again: {code}.", slug="store-not-waiting") from None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Conflict("The request is not running.", slug="request-final") from None
            raise RetryError(f"Temporal did not take the update: {_reason(error)}") from error
        except RuntimeError as error:
            raise RetryError(f"Temporal did not take the update: {_reason(error)}") from error

    async def run_starter(self, stop: asyncio.Event, interval_seconds: float = 2.0) -> None:
        """Until `stop`: starts what was received while Temporal was away."""
        while not stop.is_set():
            try:
                await self.start_waiting()
            except (RetryError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("received requests wait to be started", error=str(error))
            try:
                async with asyncio.timeout(interval_seconds):
                    await stop.wait()
            except TimeoutError:
                continue


def _reason(error: RPCError | RuntimeError) -> str:
    return error.status.name.lower() if isinstance(error, RPCError) else type(error).__name__
