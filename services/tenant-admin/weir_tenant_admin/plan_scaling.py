"""Plan the scaling of a tenant's consumers; on request, hand the plan to the workflow that applies it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from weir_common.audit import AuditEntry, audit_record
from weir_common.auth import Principal
from weir_common.ids import TenantId, uuid7
from weir_common.kafka.partitioner import TENANT_PARTITIONS
from weir_common.problems import Conflict, FieldError, InvalidRequest, NotFound, Unavailable

from weir_tenant_admin.domain.cluster_names import is_label_value
from weir_tenant_admin.domain.manifests import Target
from weir_tenant_admin.domain.scale_messages import plan_ref
from weir_tenant_admin.domain.scaling import Limits, Measurements, plan
from weir_tenant_admin.domain.tenant import PLANS
from weir_tenant_admin.errors import ControlPlaneUnavailable
from weir_tenant_admin.ports import (
    Clock,
    Cluster,
    PlanState,
    Preview,
    ScalePlan,
    ScalePlans,
    ScaleWorkflows,
    TenantStore,
)

SERVICE = "tenant-admin"


@dataclass(frozen=True, slots=True)
class ScaleCommand:
    """``maximum`` None: what the tenant's plan grants."""

    tenant_id: TenantId
    service: str
    minimum: int
    maximum: int | None
    apply: bool


@dataclass(frozen=True, slots=True)
class ScalingTerms:
    """``cost_per_replica_hour`` in millionths of the currency; ``lifetime``: how long a plan is worth looking at."""

    cost_per_replica_hour: int
    lifetime: timedelta


class ScalePlanning:
    """Without a control plane plans are still made; they cannot be applied."""

    def __init__(
        self,
        *,
        store: TenantStore,
        plans: ScalePlans,
        measure: Callable[[str, TenantId, float], Measurements],
        cluster: Cluster | None,
        workflows: ScaleWorkflows | None,
        terms: ScalingTerms,
        clock: Clock,
        wake_outbox: Callable[[], None],
    ) -> None:
        self._store = store
        self._plans = plans
        self._measure = measure
        self._cluster = cluster
        self._workflows = workflows
        self._terms = terms
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def __call__(self, command: ScaleCommand, caller: Principal) -> ScalePlan:
        """The plan, kept. When it is to be applied, its workflow runs by the time this returns.

        ``NotFound``: no such tenant. ``InvalidRequest``: bounds that leave nothing. To apply also ``Unavailable``: no
        control plane or no answer, ``Conflict``: load unknown, refused by the API server, another plan is under way.
        """
        tenant = await self._store.tenant(command.tenant_id)
        if tenant is None:
            raise NotFound(f"There is no tenant '{command.tenant_id}'.")
        granted = PLANS[tenant.tier]
        maximum = command.maximum if command.maximum is not None else granted.max_replicas
        if command.minimum > maximum:
            raise InvalidRequest(
                "The bounds leave nothing between them.",
                errors=[FieldError("/min", f"at most {maximum}", str(command.minimum))],
            )
        now = self._clock()
        measured = self._measure(command.service, command.tenant_id, now.timestamp())
        limits = Limits(
            minimum=command.minimum,
            maximum=maximum,
            plan_maximum=granted.max_replicas,
            partitions=TENANT_PARTITIONS,
            cost_per_replica_hour=self._terms.cost_per_replica_hour,
            max_cost_per_hour=granted.max_cost_per_hour,
        )
        # The autoscaler never gets wider bounds than the ceilings allow.
        made = plan(measured, limits)
        if command.apply and made.minimum > (allowed := _ceiling(limits)):
            raise InvalidRequest(
                "The minimum is above what the tenant may have.",
                errors=[FieldError("/min", f"at most {allowed}", str(command.minimum))],
            )
        target = Target(command.tenant_id, command.service, made.minimum, max(1, made.maximum))
        admission, previews, current = await self._ask_cluster(target, must_answer=command.apply)
        if current is not None:
            made = plan(replace(measured, current=current), limits)
        plan_id = str(uuid7())
        kept = ScalePlan(
            plan_id=plan_id,
            tenant_id=command.tenant_id,
            service=command.service,
            minimum=target.minimum,
            maximum=target.maximum,
            state=PlanState.PLANNED,
            reason="",
            document={
                "plan_id": plan_ref(command.tenant_id, plan_id),
                "tenant_id": command.tenant_id,
                "service": command.service,
                "dry_run": not command.apply,
                "as_of": now,
                "expires_at": now + self._terms.lifetime,
                **made.document(),
                "expected": {
                    "lag_s_after": made.lag_seconds_after,
                    "cost_per_hour_delta": made.cost_per_hour_delta,
                },
                "admission": admission,
                "ssa_diff": [_preview(preview) for preview in previews],
                "rollback": {"if": "the controller does not act in time", "to": current},
                "hash": made.hash,
            },
            before=None,
            created_at=now,
            created_by=caller.subject,
            actor_kind=caller.kind,
            updated_at=now,
        )
        if not command.apply:
            await self._plans.add(kept)
            return kept
        if made.hold:
            raise Conflict(
                "The load is not known, so nothing is changed.", slug="load-unknown", extra={"plan": _shown(kept)}
            )
        if admission == "denied":
            raise Conflict(
                "The control plane does not admit the plan; nothing was changed.",
                slug="not-admitted",
                extra={"plan": _shown(kept)},
            )
        return await self._apply(kept, now, caller)

    async def _apply(self, kept: ScalePlan, now: datetime, caller: Principal) -> ScalePlan:
        if self._workflows is None:
            raise _no_control_plane()
        await self._plans.add(
            kept,
            audit_record(
                AuditEntry(
                    tenant_id=kept.tenant_id,
                    actor=caller.subject,
                    actor_kind=caller.kind,
                    action="tenant:scale",
                    object_ref=f"scale-plan:{kept.plan_id}",
                    outcome="success",
                    detail={"step": "requested", "service": kept.service, "hash": str(kept.document["hash"])},
                    service=SERVICE,
                    occurred_at=now,
                )
            ),
        )
        self._wake_outbox()
        if not await self._workflows.start(kept):
            raise Conflict(
                f"Another plan for {kept.service} of '{kept.tenant_id}' is being applied.", slug="scaling-in-progress"
            )
        return kept

    async def _ask_cluster(self, target: Target, *, must_answer: bool) -> tuple[str, Sequence[Preview], int | None]:
        """Verdict (allowed, denied, unknown), what each object would become, and the replicas that are asked for now."""
        if not is_label_value(target.tenant_id):
            if must_answer:
                raise Conflict(
                    "An id that ends with '-' or '_' cannot be a label in Kubernetes.", slug="tenant-has-no-label"
                )
            return "unknown", [], None
        if self._cluster is None:
            if must_answer:
                raise _no_control_plane()
            return "unknown", [], None
        try:
            now = await self._cluster.snapshot(target)
            previews = await self._cluster.preview(target)
        except ControlPlaneUnavailable:
            if must_answer:
                raise
            return "unknown", [], None
        verdicts = {preview.admission for preview in previews}
        return ("denied" if "denied" in verdicts else "allowed"), previews, now.replicas


def _ceiling(limits: Limits) -> int:
    by_cost = limits.max_cost_per_hour // max(1, limits.cost_per_replica_hour)
    return min(limits.maximum, limits.plan_maximum, limits.partitions, by_cost)


def _preview(preview: Preview) -> dict[str, Any]:
    return {
        "object": preview.object_ref,
        "admission": preview.admission,
        "reason": preview.reason,
        "changes": [{"field": field, "before": before, "after": after} for field, before, after in preview.changes],
    }


def _shown(kept: ScalePlan) -> Any:
    return msgspec.to_builtins(kept.document)


def _no_control_plane() -> Unavailable:
    return Unavailable(
        "There is no Kubernetes control plane here: plans can be made but not applied.",
        slug="no-control-plane",
        retry_after_seconds=3_600,
    )
