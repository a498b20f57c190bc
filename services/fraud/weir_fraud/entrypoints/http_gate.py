"""``/api/v2/ml/models/fraud/versions/{version}/…``: the evidence for a promotion, and the gate that it must pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import Meta
from weir_common.audit import PLATFORM, AuditEntry
from weir_common.auth import Action
from weir_common.http import (
    NOT_FOUND,
    CursorParameter,
    MsgspecResponse,
    TenantParameter,
    answer,
    decode_body,
    tenant_access,
)
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_fraud.check_gate import CheckGate
from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.promotion_gate import Backtest, Estimate, Figures, Gate, StoredBacktest
from weir_fraud.entrypoints.http_models import MAX_LIMIT, PREFIX, VERSION_PATTERN, Operator, Version, of_platform
from weir_fraud.load_models import SERVICE
from weir_fraud.ports import Backtests, ModelRegistry

_Share = Annotated[float, Meta(ge=0, le=1)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_Time = Annotated[datetime, Meta(tz=True)]
_MOST: Final = 2**63 - 1


class BacktestEstimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure with its 95 % interval: `low` ≤ `value` ≤ `high`."""

    value: _Share
    low: _Share
    high: _Share


class BacktestFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one model on these rows; rates are shares of all payments."""

    version: Annotated[str, Meta(pattern=VERSION_PATTERN)]
    auc: BacktestEstimate
    average_precision: BacktestEstimate
    card_precision_100: BacktestEstimate
    review_rate: _Share
    decline_rate: _Share


class BacktestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The version of the path, and the champion, on the same archived payments of a period; `data_sha256` is of the rows in their order."""

    data_from: _Time
    data_until: _Time
    payments: _Count
    frauds: Annotated[int, Meta(ge=0, le=2**53, description="Payments that are labelled as fraud")]
    data_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    candidate: BacktestFigures
    champion: BacktestFigures


_, GATE_SCHEMAS = msgspec.json.schema_components([BacktestRequest], ref_template="#/components/schemas/{name}")
"""For the OpenAPI document."""
_request = msgspec.json.Decoder(BacktestRequest)
_FIGURES: Final[dict[str, Any]] = {
    "auc": {"value": 0.91, "low": 0.9, "high": 0.92},
    "average_precision": {"value": 0.73, "low": 0.71, "high": 0.75},
    "card_precision_100": {"value": 0.31, "low": 0.3, "high": 0.32},
    "review_rate": 0.01,
    "decline_rate": 0.004,
}
_EXAMPLE: Final[dict[str, Any]] = {
    "data_from": "2026-11-01T00:00:00Z",
    "data_until": "2026-11-08T00:00:00Z",
    "payments": 120_000,
    "frauds": 840,
    "data_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "candidate": {"version": "fraud-0123456789ab", **_FIGURES},
    "champion": {"version": "fraud-ba9876543210", **_FIGURES},
}
_BACKTEST = answer("The backtest", "number", "version", "recorded_at", "recorded_by", "candidate", "champion")


def gate_router(
    registry: ModelRegistry, backtests: Backtests, check: CheckGate, clock: Callable[[], datetime]
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=f"{PREFIX}/versions/{{version}}", tags=["fraud models"])

    @router.post(
        "/backtests",
        summary="Record a backtest",
        responses={**_BACKTEST, **NOT_FOUND},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/BacktestRequest"},
                        "example": _EXAMPLE,
                    }
                },
            }
        },
    )
    async def record(request: Request, caller: Operator, version: Version) -> Response:
        """Evidence for the gate; kept for ever beside those before. The gate looks at the newest that is against the present champion. For
        operators; audited.
        """
        of_platform(caller)
        asked = decode_body(_request, await request.body())
        _refuse_what_cannot_be(asked, version)
        now = clock()
        if asked.data_until > now:
            raise _invalid("/data_until", "a time that has been", asked.data_until.isoformat())
        if await registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        if await registry.version(asked.champion.version) is None:
            raise _invalid("/champion/version", "a version of the registry", asked.champion.version)
        entry = AuditEntry(
            tenant_id=PLATFORM,
            actor=caller.subject,
            actor_kind=caller.kind,
            action=str(Action.FRAUD_MODELS_MANAGE),
            object_ref=f"fraud-model:{version}",
            outcome="success",
            detail={"what": "backtest", "champion": asked.champion.version, "data_sha256": asked.data_sha256},
            service=SERVICE,
        )
        stored = await backtests.add(version, _backtest(asked), caller.subject, now, entry)
        return MsgspecResponse(_document(version, stored))

    @router.get(
        "/backtests",
        summary="Its backtests",
        responses={**answer("A page", "version", "backtests", "next_cursor"), **NOT_FOUND},
    )
    async def listed(
        caller: Operator,
        version: Version,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 20,
        cursor: CursorParameter = None,
    ) -> Response:
        """The newest first. For operators."""
        of_platform(caller)
        if await registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        page = await backtests.page(version, None if cursor is None else _before(cursor), limit + 1)
        shown = page[:limit]
        return MsgspecResponse(
            {
                "version": version,
                "backtests": [_document(version, one) for one in shown],
                "next_cursor": encode_cursor([shown[-1].number]) if len(page) > limit else None,
            }
        )

    @router.get(
        "/gate",
        summary="Whether it may be promoted",
        responses={**answer("The gate", "version", "stage", "champion", "passed", "checks", "backtest"), **NOT_FOUND},
    )
    async def gate(
        request: Request,
        caller: Operator,
        version: Version,
        stage: Annotated[Stage, Query(description="To which stage")] = Stage.CHAMPION,
        tenant_id: TenantParameter = None,
    ) -> Response:
        """Every check with the value that was found (null: none was), its bound, and whether it passed. Figures are at least, rates, ages and
        loads at most their bound. `_low`: lower ends of the 95 % intervals, against the champion's on the same rows. Stages at which a
        version decides nothing have no checks.

        With `tenant_id` what the shadow's comparisons of that tenant say, with the bounds of one tenant; promotions are not held to it. For
        operators.
        """
        of_platform(caller)
        if tenant_id:
            tenant = TenantId(tenant_id)
            await tenant_access(request, caller, tenant, Action.FRAUD_MODELS_MANAGE)
            return MsgspecResponse(_gate(await check.of_tenant(version, tenant)))
        return MsgspecResponse(_gate(await check(version, stage)))

    return router


def _refuse_what_cannot_be(asked: BacktestRequest, version: str) -> None:
    errors: list[FieldError] = []
    if asked.candidate.version != version:
        errors.append(FieldError("/candidate/version", version, asked.candidate.version))
    if asked.champion.version == version:
        errors.append(FieldError("/champion/version", "another version than the candidate's", version))
    if asked.data_from >= asked.data_until:
        errors.append(FieldError("/data_from", "before data_until", asked.data_from.isoformat()))
    if asked.frauds > asked.payments:
        errors.append(FieldError("/frauds", f"at most payments, {asked.payments}", str(asked.frauds)))
    for side, figures in (("candidate", asked.candidate), ("champion", asked.champion)):
        for name in ("auc", "average_precision", "card_precision_100"):
            one: BacktestEstimate = getattr(figures, name)
            if not one.low <= one.value <= one.high:
                errors.append(
                    FieldError(f"/{side}/{name}", "low <= value <= high", f"{one.low}, {one.value}, {one.high}")
                )
        if figures.review_rate + figures.decline_rate > 1:
            errors.append(
                FieldError(
                    f"/{side}/review_rate",
                    "at most 1 with decline_rate",
                    str(figures.review_rate + figures.decline_rate),
                )
            )
    if errors:
        raise InvalidRequest("The backtest cannot be.", errors=errors)


def _invalid(pointer: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest("The backtest cannot be.", errors=[FieldError(pointer, expected, got)])


def _backtest(asked: BacktestRequest) -> Backtest:
    return Backtest(
        data_from=asked.data_from,
        data_until=asked.data_until,
        payments=asked.payments,
        frauds=asked.frauds,
        data_sha256=asked.data_sha256,
        candidate=_figures(asked.candidate),
        champion=_figures(asked.champion),
    )


def _figures(asked: BacktestFigures) -> Figures:
    def estimate(one: BacktestEstimate) -> Estimate:
        return Estimate(one.value, one.low, one.high)

    return Figures(
        version=asked.version,
        auc=estimate(asked.auc),
        average_precision=estimate(asked.average_precision),
        card_precision_100=estimate(asked.card_precision_100),
        review_rate=asked.review_rate,
        decline_rate=asked.decline_rate,
    )


def _document(version: str, stored: StoredBacktest) -> dict[str, Any]:
    return {
        "number": stored.number,
        "version": version,
        "recorded_at": stored.recorded_at,
        "recorded_by": stored.recorded_by,
        **msgspec.structs.asdict(stored.backtest),
    }


def _gate(found: Gate) -> dict[str, Any]:
    return {**msgspec.structs.asdict(found), "passed": found.passed}


def _before(cursor: str) -> int:
    (number,) = decode_cursor(cursor, 1)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _MOST:
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out.",
            errors=[
                FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
            ],
        )
    return number
