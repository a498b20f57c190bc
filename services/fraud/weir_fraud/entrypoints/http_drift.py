"""``/api/v2/ml/models/fraud/versions/{version}/drift``: how far today's payments are from those that a version was trained on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from weir_common.auth import Action
from weir_common.http import NOT_FOUND, MsgspecResponse, TenantParameter, answer, tenant_access
from weir_common.ids import TenantId
from weir_common.problems import NotFound

from weir_fraud.domain.drift import LARGE_PSI, MODERATE_PSI, DriftReport
from weir_fraud.entrypoints.http_models import PREFIX, Operator, Version, of_platform
from weir_fraud.ports import DriftStore, ModelRegistry
from weir_fraud.score_shadow import ALL_TENANTS


def drift_router(registry: ModelRegistry, store: DriftStore) -> APIRouter:
    """The route."""
    router = APIRouter(prefix=f"{PREFIX}/versions/{{version}}", tags=["fraud models"])

    @router.get(
        "/drift",
        summary="How far payments have moved",
        responses={
            **answer(
                "The report", "version", "tenant_id", "computed_at", "decisions", "score", "features", "calibration"
            ),
            **NOT_FOUND,
        },
    )
    async def drift(
        request: Request, caller: Operator, version: Version, tenant_id: TenantParameter = None
    ) -> Response:
        """Population stability index (PSI) of the score and of each feature, the one that moved most first, of one tenant or, without
        `tenant_id`, of all together; and how many of the expected frauds there were, among decisions old enough for labels. `level` is `none`
        below 0.1, `moderate`, or `large` above 0.25. Null, with `lacking`, where there is too little to say it. 404: nothing was computed yet.
        Once an hour. For operators.
        """
        of_platform(caller)
        if await registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        tenant = ALL_TENANTS
        if tenant_id:
            tenant = TenantId(tenant_id)
            await tenant_access(request, caller, tenant, Action.FRAUD_MODELS_MANAGE)
        report = await store.report(tenant, version)
        if report is None:
            raise NotFound(f"Nothing was computed of version {version} yet: it decided nothing lately.")
        return MsgspecResponse(_document(report, tenant_id or None))

    return router


def _document(report: DriftReport, tenant_id: str | None) -> dict[str, Any]:
    features = sorted((report.features or {}).items(), key=lambda one: (-one[1], one[0]))
    calibration = report.calibration
    return {
        "version": report.version,
        "tenant_id": tenant_id,
        "computed_at": report.computed_at,
        "since": report.since,
        "decisions": report.decisions,
        "score": None if report.score_psi is None else _moved(report.score_psi),
        "features": None
        if report.features is None
        else [{"feature": name, **_moved(value)} for name, value in features],
        "calibration": {
            "since": calibration.since,
            "until": calibration.until,
            "decisions": calibration.decisions,
            "labelled": calibration.labelled,
            "frauds": calibration.frauds,
            "expected": calibration.expected,
            "ratio": report.calibration_ratio,
            "brier": report.calibration_brier,
        },
        "lacking": _lacking(report),
    }


def _moved(value: float) -> dict[str, Any]:
    return {"psi": value, "level": "large" if value > LARGE_PSI else "moderate" if value >= MODERATE_PSI else "none"}


def _lacking(report: DriftReport) -> list[str]:
    """Why there is no figure."""
    lacking: list[str] = []
    if not report.has_baselines:
        lacking.append("the model's card has no baselines")
    elif report.score_psi is None:
        lacking.append(f"{report.decisions} decisions, {report.least_decisions} are needed")
    if report.calibration_ratio is None:
        lacking.append(f"{report.calibration.frauds} labelled frauds, {report.least_frauds} are needed")
    return lacking
