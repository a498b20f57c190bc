"""What every store of plans does, in memory and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from weir_common.ids import TenantId
from weir_tenant_admin.ports import PlanState, ScalePlan, ScalePlans, Snapshot

Make = Callable[..., ScalePlan]


async def test_a_plan_comes_back_as_it_was(scale_plans: ScalePlans, new_plan: Make) -> None:
    made = new_plan(before=Snapshot(2, 1, 3))
    await scale_plans.add(made)
    assert await scale_plans.plan(made.tenant_id, made.plan_id) == made


async def test_another_tenant_does_not_see_it(scale_plans: ScalePlans, new_plan: Make) -> None:
    made = new_plan()
    await scale_plans.add(made)
    stranger = TenantId(f"{made.tenant_id}-other")
    assert await scale_plans.plan(stranger, made.plan_id) is None
    assert await scale_plans.turn(stranger, made.plan_id, PlanState.FAILED, "", made.created_at) is None


async def test_what_was_there_before_is_remembered_once(scale_plans: ScalePlans, new_plan: Make) -> None:
    made = new_plan()
    await scale_plans.add(made)
    first = Snapshot(None, None, None)
    await scale_plans.remember(made.tenant_id, made.plan_id, first)
    await scale_plans.remember(made.tenant_id, made.plan_id, Snapshot(1, 1, 4))
    kept = await scale_plans.plan(made.tenant_id, made.plan_id)
    assert kept is not None
    assert kept.before == first


async def test_a_state_is_entered_once(scale_plans: ScalePlans, new_plan: Make) -> None:
    made = new_plan()
    await scale_plans.add(made)
    later = made.created_at + timedelta(seconds=5)
    turned = await scale_plans.turn(made.tenant_id, made.plan_id, PlanState.UNDONE, "why", later)
    assert turned == replace(made, state=PlanState.UNDONE, reason="why", updated_at=later)
    again = await scale_plans.turn(
        made.tenant_id, made.plan_id, PlanState.UNDONE, "again", later + timedelta(seconds=5)
    )
    assert again == turned
