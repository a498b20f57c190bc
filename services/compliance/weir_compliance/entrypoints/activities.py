"""The steps of a request as Temporal activities: decode, call the use case, map errors.

Whatever goes wrong, the history gets a code and a type. An error's own text may hold data: it stays here, and only as
far as its class is known to hold none does it reach the log.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from weir_common.ids import TenantId

from weir_compliance.collect_store import CollectStore
from weir_compliance.domain.subject_request import read_ref
from weir_compliance.domain.workflow_messages import (
    COLLECT_STORE,
    ESCALATE_REQUEST,
    EXPIRE_EXPORT,
    PACK_ARCHIVE,
    PLAN_REQUEST,
    REQUEST_GONE,
    STORE_FALSE,
    STORE_REFUSED,
    EscalationOrder,
    PackOutcome,
    RequestOrder,
    RequestPlan,
    StoreOrder,
    StoreOutcome,
)
from weir_compliance.errors import RequestGoneError, StoreError, StoreFalseError, StoreRefusedError
from weir_compliance.escalate_request import EscalateRequest
from weir_compliance.expire_export import ExpireExport
from weir_compliance.pack_archive import PackArchive
from weir_compliance.plan_request import PlanRequest
from weir_compliance.settings import ExportSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRANSIENT = "Transient"
# A quarter of the heartbeat time-out that the workflow sets.
_BEAT_SECONDS = 5.0


def coded(error: Exception) -> ApplicationError:
    """What Temporal may keep of an error: a code without data, and a type that says whether to retry."""
    match error:
        case RequestGoneError():
            return ApplicationError(error.code, type=REQUEST_GONE, non_retryable=True)
        case StoreRefusedError():
            return ApplicationError(error.code, type=STORE_REFUSED, non_retryable=True)
        case StoreFalseError():
            return ApplicationError(error.code, type=STORE_FALSE, non_retryable=True)
        case StoreError():
            return ApplicationError(error.code, type=TRANSIENT)
        case _:
            return ApplicationError(type(error).__name__, type=TRANSIENT)


def _coded(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @functools.wraps(function)
    async def run(*arguments: Any) -> T:
        try:
            return await function(*arguments)
        except Exception as error:  # noqa: BLE001 - every error becomes a code; see above
            failure = coded(error)
            log.warning(
                "activity failed",
                activity=activity.info().activity_type,
                workflow_id=activity.info().workflow_id,
                attempt=activity.info().attempt,
                code=failure.message,
                retried=not failure.non_retryable,
            )
            # Without its cause: Temporal would store the chain, and the log print it.
            raise failure from None

    return run


class RequestActivities:
    """One method a step."""

    def __init__(
        self,
        *,
        plan: PlanRequest,
        collect: CollectStore,
        pack: PackArchive,
        escalate: EscalateRequest,
        expire: ExpireExport,
        exports: ExportSettings,
    ) -> None:
        self._plan = plan
        self._collect = collect
        self._pack = pack
        self._escalate = escalate
        self._expire = expire
        self._exports = exports

    @activity.defn(name=PLAN_REQUEST)
    @_coded
    async def plan_request(self, order: RequestOrder) -> RequestPlan:
        stores = await self._plan(*_named(order.request_ref))
        return RequestPlan(
            stores=list(stores),
            store_timeout_seconds=self._exports.store_timeout_seconds,
            store_late_after_seconds=self._exports.store_late_after_seconds,
            warn_before_due_seconds=list(self._exports.warn_before_due_seconds),
            link_seconds=self._exports.link_seconds,
        )

    @activity.defn(name=COLLECT_STORE)
    @_coded
    async def collect_store(self, order: StoreOrder) -> StoreOutcome:
        tenant_id, request_id = _named(order.request_ref)
        async with _beating() as progress:
            receipt = await self._collect(tenant_id, request_id, order.store, progress)
        return StoreOutcome(records=receipt.records)

    @activity.defn(name=PACK_ARCHIVE)
    @_coded
    async def pack_archive(self, order: RequestOrder) -> PackOutcome:
        async with _beating():
            missing = await self._pack(*_named(order.request_ref))
        return PackOutcome(missing_stores=list(missing))

    @activity.defn(name=ESCALATE_REQUEST)
    @_coded
    async def escalate_request(self, order: EscalationOrder) -> None:
        tenant_id, request_id = _named(order.request_ref)
        await self._escalate(tenant_id, request_id, order.reason, order.store)

    @activity.defn(name=EXPIRE_EXPORT)
    @_coded
    async def expire_export(self, order: RequestOrder) -> None:
        await self._expire(*_named(order.request_ref))

    def all(self) -> Sequence[Callable[..., Any]]:
        """For the worker."""
        return [self.plan_request, self.collect_store, self.pack_archive, self.escalate_request, self.expire_export]


@asynccontextmanager
async def _beating() -> AsyncIterator[Callable[[int], None]]:
    """Heartbeats all the while, with the count that was last reported: so that Temporal notices a dead worker within
    seconds, and the activity a cancellation, however slow a store is.
    """
    records = 0

    def report(count: int) -> None:
        nonlocal records
        records = count

    async def beat() -> None:
        while True:
            activity.heartbeat(records)
            await asyncio.sleep(_BEAT_SECONDS)

    beating = asyncio.create_task(beat(), name="heartbeat")
    try:
        yield report
    finally:
        beating.cancel()


def _named(request_ref: str) -> tuple[TenantId, UUID]:
    """The request, which must be the one whose workflow this is: a forged input must not reach another tenant's."""
    if activity.info().workflow_id != f"dsr/{request_ref}":
        raise RequestGoneError("foreign_reference")
    try:
        return read_ref(request_ref)
    except ValueError:
        raise RequestGoneError("malformed_reference") from None
