"""REST: the detailed health of the mesh."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Response
from weir_common.auth import Action, Principal
from weir_common.http import PROBLEM_RESPONSES, MsgspecResponse, principal

from weir_tenant_admin.check_health import HealthCheck
from weir_tenant_admin.domain.health import Overall, State
from weir_tenant_admin.entrypoints.documentation import answers


class ComponentView(msgspec.Struct, frozen=True):
    """One component; ``essential`` ones make the whole unhealthy when they are down."""

    name: str
    kind: str
    status: State
    essential: bool
    latency_seconds: float | None
    detail: dict[str, str | int | float | bool | list[str]]


class HealthView(msgspec.Struct, frozen=True):
    """The mesh and its components, asked just now."""

    status: Overall
    as_of: datetime
    took_seconds: float
    components: list[ComponentView]


TYPES = (HealthView,)


def health_router(check: HealthCheck) -> APIRouter:
    """GET /api/v2/ops/health/detailed."""
    router = APIRouter(prefix="/api/v2/ops", tags=["operations"])

    @router.get(
        "/health/detailed",
        summary="Every component, asked for real",
        responses={
            **answers(200, HealthView, "healthy or degraded"),
            503: {
                "description": "unhealthy: something essential does not answer; or nobody answers at all",
                "content": {
                    **answers(503, HealthView, "")[503]["content"],
                    **PROBLEM_RESPONSES[503]["content"],
                },
            },
        },
    )
    async def detailed_health(caller: Annotated[Principal, principal(Action.HEALTH_READ)]) -> Response:
        health = await check()
        view = HealthView(
            status=health.state,
            as_of=datetime.now(UTC),
            took_seconds=round(health.seconds, 6),
            components=[
                ComponentView(
                    part.name,
                    part.kind,
                    part.state,
                    part.essential,
                    round(part.latency_seconds, 6) if part.latency_seconds is not None else None,
                    part.detail,
                )
                for part in health.components
            ],
        )
        return MsgspecResponse(
            view,
            status_code=503 if health.state is Overall.UNHEALTHY else 200,
            headers={"Cache-Control": "no-store"},
        )

    return router
