"""Plans as they are applied, on the real Temporal: kept, undone on each kind of failure, and never half."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from temporalio.client import Client, WorkflowFailureError
from weir_common.audit import AuditEntry
from weir_tenant_admin.adapters.temporal_client import TemporalScaleWorkflows, connect
from weir_tenant_admin.apply_scaling import ScaleApplication
from weir_tenant_admin.domain.scale_messages import WORKFLOW_NAME, ScaleOrder, plan_ref, workflow_id
from weir_tenant_admin.entrypoints.scale_activities import ScaleActivities
from weir_tenant_admin.entrypoints.scale_worker import ScaleWorker
from weir_tenant_admin.errors import AdmissionDenied, ApplyConflict, ControlPlaneUnavailable
from weir_tenant_admin.ports import PlanState, ScalePlan, Snapshot
from weir_tenant_admin.settings import Settings

pytestmark = pytest.mark.integration

NOTHING = Snapshot(None, None, None)
WAIT_SECONDS = 1.5

Run = Callable[[ScalePlan], Awaitable[ScalePlan]]


@pytest.fixture
async def client(tenant_admin_settings: Settings) -> Client:
    return await connect(tenant_admin_settings.temporal)


@pytest.fixture
async def task_queue(
    tenant_admin_settings: Settings, memory_plans: Any, fake_cluster: Any, clock: Any
) -> AsyncIterator[str]:
    """A worker of the test's own, on a queue of its own."""
    queue = f"scale-test-{secrets.token_hex(4)}"
    activities = ScaleActivities(ScaleApplication(memory_plans, fake_cluster, clock, lambda: None))
    worker = ScaleWorker(tenant_admin_settings.temporal, queue, activities.all())
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    yield queue
    stop.set()
    async with asyncio.timeout(15):
        await running


@pytest.fixture
def run(client: Client, task_queue: str, memory_plans: Any) -> Run:
    async def apply(plan: ScalePlan) -> ScalePlan:
        await memory_plans.add(plan)
        assert await TemporalScaleWorkflows(client, task_queue, WAIT_SECONDS).start(plan)
        handle = client.get_workflow_handle(workflow_id(plan.tenant_id, plan.service))
        async with asyncio.timeout(30):
            state = await handle.result()
        kept = await memory_plans.plan(plan.tenant_id, plan.plan_id)
        assert kept is not None
        assert kept.state == state
        return kept

    return apply


def entries(memory_plans: Any) -> list[AuditEntry]:
    return [msgspec.json.decode(record.value, type=AuditEntry) for record in memory_plans.sent]


async def test_a_plan_that_the_controller_takes_up_is_kept(
    run: Run, new_plan: Any, fake_cluster: Any, memory_plans: Any
) -> None:
    kept = await run(new_plan())
    assert (kept.state, kept.before) == (PlanState.APPLIED, NOTHING)
    assert fake_cluster.now == Snapshot(1, 1, 4)
    [entry] = entries(memory_plans)
    assert (entry.outcome, entry.actor, entry.detail["step"]) == ("success", "user:ann", "applied")


async def test_when_the_controller_does_not_act_everything_is_as_before(
    run: Run, new_plan: Any, fake_cluster: Any, memory_plans: Any
) -> None:
    fake_cluster.now, fake_cluster.acts = Snapshot(3, 2, 3), False
    kept = await run(new_plan())
    assert (kept.state, kept.reason) == (PlanState.UNDONE, "controller idle: FailedGetExternalMetric")
    assert fake_cluster.now == Snapshot(3, 2, 3)
    [entry] = entries(memory_plans)
    assert (entry.outcome, entry.detail["reason"]) == ("failure", kept.reason)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (AdmissionDenied("HPA x", "above the plan"), "admission denied"),
        (ApplyConflict("HPA x", [("gitops", ".spec.maxReplicas")], "taken"), "conflict: .spec.maxReplicas"),
    ],
)
async def test_a_refusal_is_not_tried_again(
    run: Run, new_plan: Any, fake_cluster: Any, refusal: Exception, reason: str
) -> None:
    fake_cluster.failures["apply"] = [refusal]
    kept = await run(new_plan())
    assert (kept.state, kept.reason) == (PlanState.UNDONE, reason)
    assert fake_cluster.calls.count("apply") == 1
    assert fake_cluster.now == NOTHING


async def test_an_outage_is_waited_out_and_our_own_work_is_not_taken_for_the_former_state(
    run: Run, new_plan: Any, fake_cluster: Any
) -> None:
    fake_cluster.failures["apply"] = [ControlPlaneUnavailable("away")]
    kept = await run(new_plan())
    assert (kept.state, kept.before) == (PlanState.APPLIED, NOTHING)
    assert fake_cluster.calls.count("apply") == 2
    assert fake_cluster.calls.count("snapshot") == 1


async def test_what_cannot_be_undone_is_said(run: Run, new_plan: Any, fake_cluster: Any) -> None:
    fake_cluster.acts = False
    fake_cluster.failures["restore"] = [AdmissionDenied("HPA x", "no")]
    kept = await run(new_plan())
    assert kept.state is PlanState.FAILED
    assert kept.reason == "controller idle: FailedGetExternalMetric; not undone: admission denied"


async def test_a_cancelled_plan_is_undone(
    client: Client, task_queue: str, new_plan: Any, memory_plans: Any, fake_cluster: Any
) -> None:
    fake_cluster.acts = False
    plan = new_plan()
    await memory_plans.add(plan)
    assert await TemporalScaleWorkflows(client, task_queue, 60).start(plan)
    handle = client.get_workflow_handle(workflow_id(plan.tenant_id, plan.service))
    async with asyncio.timeout(30):
        while "follows" not in fake_cluster.calls:
            await asyncio.sleep(0.05)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    kept = await memory_plans.plan(plan.tenant_id, plan.plan_id)
    assert (kept.state, kept.reason) == (PlanState.UNDONE, "cancelled")
    assert fake_cluster.now == NOTHING


async def test_a_cancellation_while_it_is_applied_waits_for_that_step(
    client: Client, task_queue: str, new_plan: Any, memory_plans: Any, fake_cluster: Any
) -> None:
    fake_cluster.hold_apply = asyncio.Event()
    plan = new_plan()
    await memory_plans.add(plan)
    assert await TemporalScaleWorkflows(client, task_queue, 60).start(plan)
    handle = client.get_workflow_handle(workflow_id(plan.tenant_id, plan.service))
    async with asyncio.timeout(30):
        while "apply" not in fake_cluster.calls:
            await asyncio.sleep(0.05)
        await handle.cancel()
        await asyncio.sleep(0.5)
        assert "restore" not in fake_cluster.calls
        fake_cluster.hold_apply.set()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert fake_cluster.now == NOTHING


async def test_a_second_plan_for_the_same_consumers_is_not_started(
    client: Client, task_queue: str, new_plan: Any, memory_plans: Any, fake_cluster: Any
) -> None:
    fake_cluster.acts = False
    plan = new_plan()
    await memory_plans.add(plan)
    workflows = TemporalScaleWorkflows(client, task_queue, WAIT_SECONDS)
    assert await workflows.start(plan)
    assert not await workflows.start(new_plan(tenant_id=plan.tenant_id))
    async with asyncio.timeout(30):
        await client.get_workflow_handle(workflow_id(plan.tenant_id, plan.service)).result()


async def test_a_forged_order_reaches_nobody_elses_plan(
    client: Client, task_queue: str, new_plan: Any, memory_plans: Any, fake_cluster: Any
) -> None:
    victim = new_plan()
    await memory_plans.add(victim)
    order = ScaleOrder(plan_ref(victim.tenant_id, victim.plan_id), 1)
    id_ = workflow_id(victim.tenant_id, "another")
    async with asyncio.timeout(30):
        with pytest.raises(WorkflowFailureError):
            await client.execute_workflow(WORKFLOW_NAME, order, id=id_, task_queue=task_queue)
    assert fake_cluster.calls == []
    assert await memory_plans.plan(victim.tenant_id, victim.plan_id) == victim
