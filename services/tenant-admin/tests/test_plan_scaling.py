"""Making plans and handing them over: bounds, refusals, and what is said without a control plane."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.problems import Conflict, InvalidRequest, NotFound, Unavailable
from weir_tenant_admin.create_tenant import CreateTenant, TenantCreation
from weir_tenant_admin.domain.scaling import Measurements
from weir_tenant_admin.domain.tenant import Tier, Vertical
from weir_tenant_admin.errors import ControlPlaneUnavailable
from weir_tenant_admin.plan_scaling import ScaleCommand, ScalePlanning, ScalingTerms
from weir_tenant_admin.ports import PlanState, ScalePlan, Snapshot

BUSY = Measurements(20.0, 600, 5.0, 0.1, 1.0, 1, "test")
UNKNOWN = Measurements(None, None, None, None, None, 1, "nobody reported")


class FakeWorkflows:
    def __init__(self) -> None:
        self.started: list[ScalePlan] = []
        self.running = False

    async def start(self, plan: ScalePlan) -> bool:
        if not self.running:
            self.started.append(plan)
        return not self.running


@pytest.fixture
def workflows() -> FakeWorkflows:
    return FakeWorkflows()


@pytest.fixture
def planning(memory_store: Any, memory_plans: Any, fake_cluster: Any, workflows: Any, clock: Any) -> Any:
    def make(measured: Measurements = BUSY, *, cluster: Any = fake_cluster) -> ScalePlanning:
        return ScalePlanning(
            store=memory_store,
            plans=memory_plans,
            measure=lambda service, tenant_id, now: measured,
            cluster=cluster,
            workflows=None if cluster is None else workflows,
            terms=ScalingTerms(40_000, timedelta(minutes=15)),
            clock=clock,
            wake_outbox=lambda: None,
        )

    return make


@pytest.fixture
async def acme(memory_store: Any, clock: Any, operator: Any) -> TenantId:
    create = TenantCreation(memory_store, clock, lambda: None)
    made = await create(
        CreateTenant(tenant_id=TenantId("acme"), name="Acme", tier=Tier.ENTERPRISE, vertical=Vertical.GROCERY), operator
    )
    return made.tenant_id


def command(tenant_id: TenantId, *, apply: bool = False, minimum: int = 1, maximum: int | None = None) -> ScaleCommand:
    return ScaleCommand(tenant_id, "fraud", minimum, maximum, apply)


async def test_a_dry_run_is_kept_and_changes_nothing(
    planning: Any, acme: TenantId, owner_of: Any, memory_plans: Any, fake_cluster: Any, workflows: Any
) -> None:
    made = await planning()(command(acme), owner_of("acme"))
    # need_rate = ceil(20 · 0.1 / 0.7) = 3, need_lag = ceil((20 + 600 / 60) · 0.1) = 3
    assert made.document["proposed"] == 3
    assert made.document["admission"] == "allowed"
    assert made.state is PlanState.PLANNED
    assert await memory_plans.plan(acme, made.plan_id) == made
    assert "apply" not in fake_cluster.calls
    assert workflows.started == []


async def test_applying_audits_first_and_starts_the_workflow(
    planning: Any, acme: TenantId, owner_of: Any, memory_plans: Any, workflows: Any
) -> None:
    made = await planning()(command(acme, apply=True, maximum=3), owner_of("acme"))
    assert workflows.started == [made]
    assert (made.minimum, made.maximum) == (1, 3)
    [record] = memory_plans.sent
    entry = msgspec.json.decode(record.value, type=AuditEntry)
    assert (entry.action, entry.tenant_id, entry.detail["step"]) == ("tenant:scale", "acme", "requested")


async def test_the_deployments_own_replicas_are_the_present_number(
    planning: Any, acme: TenantId, owner_of: Any, fake_cluster: Any
) -> None:
    fake_cluster.now = Snapshot(2, 1, 4)
    made = await planning()(command(acme), owner_of("acme"))
    assert made.document["current"] == 2
    assert made.document["cost_per_hour_delta"] == 40_000


async def test_the_autoscaler_never_gets_more_than_the_ceilings_allow(
    planning: Any, acme: TenantId, owner_of: Any
) -> None:
    made = await planning()(command(acme, maximum=1_000), owner_of("acme"))
    assert made.maximum == 4  # partitions
    with pytest.raises(InvalidRequest) as refused:
        await planning()(command(acme, apply=True, minimum=5, maximum=9), owner_of("acme"))
    assert refused.value.errors[0].pointer == "/min"
    with pytest.raises(InvalidRequest):
        await planning()(command(acme, minimum=3, maximum=2), owner_of("acme"))


async def test_what_is_not_known_is_planned_as_a_hold_and_not_applied(
    planning: Any, acme: TenantId, owner_of: Any, workflows: Any
) -> None:
    assert (await planning(UNKNOWN)(command(acme), owner_of("acme"))).document["hold"]
    with pytest.raises(Conflict) as refused:
        await planning(UNKNOWN)(command(acme, apply=True), owner_of("acme"))
    assert refused.value.slug == "load-unknown"
    assert workflows.started == []


async def test_what_the_server_denies_is_shown_and_not_applied(
    planning: Any, acme: TenantId, owner_of: Any, fake_cluster: Any, workflows: Any
) -> None:
    fake_cluster.denies = "conflict with gitops: .spec.maxReplicas"
    made = await planning()(command(acme), owner_of("acme"))
    assert made.document["admission"] == "denied"
    assert made.document["ssa_diff"][0]["reason"] == fake_cluster.denies
    with pytest.raises(Conflict) as refused:
        await planning()(command(acme, apply=True), owner_of("acme"))
    assert refused.value.slug == "not-admitted"
    assert workflows.started == []


async def test_one_plan_a_target_at_a_time(planning: Any, acme: TenantId, owner_of: Any, workflows: Any) -> None:
    workflows.running = True
    with pytest.raises(Conflict) as refused:
        await planning()(command(acme, apply=True), owner_of("acme"))
    assert refused.value.slug == "scaling-in-progress"


async def test_without_a_control_plane_there_are_plans_only(planning: Any, acme: TenantId, owner_of: Any) -> None:
    made = await planning(cluster=None)(command(acme), owner_of("acme"))
    assert made.document["admission"] == "unknown"
    with pytest.raises(Unavailable) as refused:
        await planning(cluster=None)(command(acme, apply=True), owner_of("acme"))
    assert refused.value.slug == "no-control-plane"


async def test_an_outage_of_the_control_plane_leaves_plans_and_stops_applying(
    planning: Any, acme: TenantId, owner_of: Any, fake_cluster: Any
) -> None:
    fake_cluster.failures["snapshot"] = [ControlPlaneUnavailable("away"), ControlPlaneUnavailable("away")]
    assert (await planning()(command(acme), owner_of("acme"))).document["admission"] == "unknown"
    with pytest.raises(RetryError):
        await planning()(command(acme, apply=True), owner_of("acme"))


async def test_a_tenant_that_is_not_there(planning: Any, owner_of: Any) -> None:
    with pytest.raises(NotFound):
        await planning()(command(TenantId("nobody")), owner_of("nobody"))
