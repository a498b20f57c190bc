"""The request as a workflow: ask every store, pack one archive, let its link expire.

Deterministic: no I/O, no clock but the workflow's, no settings. Everything that it knows of the world comes from
activities.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from weir_compliance.domain.request_state import RequestState, StoreState
    from weir_compliance.domain.workflow_messages import (
        COLLECT_STORE,
        ESCALATE_REQUEST,
        EXPIRE_EXPORT,
        PACK_ARCHIVE,
        PLAN_REQUEST,
        REQUEST_GONE,
        STORE_FALSE,
        STORE_REFUSED,
        WORKFLOW_NAME,
        EscalationOrder,
        PackOutcome,
        RequestOrder,
        RequestPlan,
        RequestStatus,
        StoreOrder,
        StoreOutcome,
        SubjectRequestInput,
    )

# A request never gives up on a store: it waits, escalates, and is finished when the store is back.
_FOREVER = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=0,
    non_retryable_error_types=[STORE_REFUSED, STORE_FALSE, REQUEST_GONE],
)
_SHORT = timedelta(seconds=30)
_PACKING = timedelta(minutes=30)
_HEARTBEAT = timedelta(seconds=20)
_FINAL = frozenset({RequestState.FULFILLED, RequestState.EXPIRED})


@workflow.defn(name=WORKFLOW_NAME)
class SubjectRequestWorkflow:
    def __init__(self) -> None:
        self._state = RequestState.RECEIVED
        self._stores: dict[str, StoreState] = {}
        self._rerun: set[str] = set()

    @workflow.run
    async def run(self, request: SubjectRequestInput) -> str:
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            # Whoever cancels a workflow does not end the duty to answer: the request stays open, and says why.
            await self._escalate(EscalationOrder(request.request_ref, "workflow_cancelled"))
            raise

    async def _answer(self, request: SubjectRequestInput) -> str:
        order = RequestOrder(request.request_ref)
        plan = await workflow.execute_activity(
            PLAN_REQUEST, order, result_type=RequestPlan, start_to_close_timeout=_SHORT, retry_policy=_FOREVER
        )
        self._state = RequestState.RUNNING
        self._stores = dict.fromkeys(plan.stores, StoreState.PENDING)
        reminders = [
            asyncio.create_task(self._remind(request, timedelta(seconds=before)))
            for before in plan.warn_before_due_seconds
        ]
        try:
            await self._deliver(request.request_ref, plan)
        finally:
            for reminder in reminders:
                reminder.cancel()
        self._state = RequestState.FULFILLED
        await workflow.sleep(timedelta(seconds=plan.link_seconds))
        await workflow.execute_activity(EXPIRE_EXPORT, order, start_to_close_timeout=_SHORT, retry_policy=_FOREVER)
        self._state = RequestState.EXPIRED
        return self._state

    async def _deliver(self, request_ref: str, plan: RequestPlan) -> None:
        """Collect and pack; stores whose delivery is no longer there when it is packed are asked again."""
        wanted = list(plan.stores)
        while wanted:
            collecting = [asyncio.create_task(self._collect(request_ref, store, plan)) for store in wanted]
            try:
                await asyncio.gather(*collecting)
            finally:
                for task in collecting:
                    task.cancel()
            wanted = await self._pack(request_ref, plan)

    async def _pack(self, request_ref: str, plan: RequestPlan) -> list[str]:
        """The stores that must deliver again; empty when the archive is there."""
        late = asyncio.create_task(
            self._escalate_late(EscalationOrder(request_ref, "archive_late"), plan.store_late_after_seconds)
        )
        try:
            outcome: PackOutcome = await workflow.execute_activity(
                PACK_ARCHIVE,
                RequestOrder(request_ref),
                result_type=PackOutcome,
                start_to_close_timeout=_PACKING,
                heartbeat_timeout=_HEARTBEAT,
                retry_policy=_FOREVER,
            )
        finally:
            late.cancel()
        return outcome.missing_stores

    async def _collect(self, request_ref: str, store: str, plan: RequestPlan) -> None:
        """Until the store has delivered. A store that refuses waits for somebody to re-run it."""
        late = asyncio.create_task(
            self._escalate_late(EscalationOrder(request_ref, "store_late", store), plan.store_late_after_seconds)
        )
        try:
            while True:
                self._rerun.discard(store)
                self._stores[store] = StoreState.COLLECTING
                attempt = workflow.start_activity(
                    COLLECT_STORE,
                    StoreOrder(request_ref, store),
                    result_type=StoreOutcome,
                    start_to_close_timeout=timedelta(seconds=plan.store_timeout_seconds),
                    heartbeat_timeout=_HEARTBEAT,
                    retry_policy=_FOREVER,
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                )
                await self._ended_or_rerun(store, attempt)
                if await self._delivered(request_ref, store, attempt):
                    self._stores[store] = StoreState.DONE
                    return
                await workflow.wait_condition(lambda: store in self._rerun)
        finally:
            late.cancel()

    async def _ended_or_rerun(self, store: str, attempt: "workflow.ActivityHandle[StoreOutcome]") -> None:
        """Returns when the activity is over, or was told to end because somebody wants the store asked anew."""
        await workflow.wait_condition(lambda: attempt.done() or store in self._rerun)
        if not attempt.done():
            attempt.cancel()

    async def _delivered(self, request_ref: str, store: str, attempt: "workflow.ActivityHandle[StoreOutcome]") -> bool:
        try:
            await attempt
        except ActivityError as error:
            if store in self._rerun:
                return False
            if _type_of(error) == REQUEST_GONE:
                raise
            self._stores[store] = StoreState.FAILED
            await self._escalate(EscalationOrder(request_ref, "store_failed", store))
            return False
        return True

    async def _escalate_late(self, order: EscalationOrder, after_seconds: float) -> None:
        await workflow.sleep(timedelta(seconds=after_seconds))
        await self._escalate(order)

    async def _remind(self, request: SubjectRequestInput, before: timedelta) -> None:
        wait = datetime.fromisoformat(request.due_at) - before - workflow.now()
        await workflow.sleep(max(wait, timedelta(0)))
        await self._escalate(EscalationOrder(request.request_ref, "due_soon"))

    async def _escalate(self, order: EscalationOrder) -> None:
        await workflow.execute_activity(ESCALATE_REQUEST, order, start_to_close_timeout=_SHORT, retry_policy=_FOREVER)

    @workflow.query
    def status(self) -> RequestStatus:
        """State and per-store table."""
        return RequestStatus(str(self._state), {store: str(state) for store, state in self._stores.items()})

    @workflow.update
    def rerun_store(self, store: str) -> None:
        """Ask this store again now: after a refusal, or instead of waiting for the next retry."""
        self._rerun.add(store)

    @rerun_store.validator
    def check_rerun(self, store: str) -> None:
        if self._state in _FINAL:
            raise ApplicationError("request_final", non_retryable=True)
        if store not in self._stores:
            raise ApplicationError("unknown_store", non_retryable=True)
        if self._stores[store] is StoreState.DONE:
            raise ApplicationError("store_done", non_retryable=True)


def _type_of(error: BaseException) -> str:
    cause = error.__cause__
    return cause.type or "" if isinstance(cause, ApplicationError) else ""
