"""``/api/v2/ml/models/fraud``: which model decides for a tenant, and the registry behind it for operators."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import Meta
from weir_common.audit import PLATFORM
from weir_common.auth import Action, Principal
from weir_common.http import (
    CONFLICT,
    NOT_FOUND,
    CursorParameter,
    MsgspecResponse,
    TenantParameter,
    answer,
    decode_body,
    principal,
    tenant_access,
)
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model_stage import ModelChange, ModelVersion, Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.shadow_report import shadow_report
from weir_fraud.entrypoints.tenant_asked import enter
from weir_fraud.manage_models import ManageModels
from weir_fraud.ports import ModelFiles, ModelRegistry, ModelsInForce, ShadowTallies, Tally
from weir_fraud.score_shadow import ALL_TENANTS

PREFIX: Final = "/api/v2/ml/models/fraud"
MAX_LIMIT: Final = 100
_CHANGES: Final = 100
MAX_DAYS: Final = 90
VERSION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

_Note = Annotated[
    str,
    Meta(max_length=500, pattern=r"^[^\u0000-\u001f\u007f]*$", description="Kept with the change; no personal data"),
]
Version = Annotated[str, Path(pattern=VERSION_PATTERN, description="Its name")]
Operator = Annotated[Principal, principal(Action.FRAUD_MODELS_MANAGE)]


class PromoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To which stage, and why."""

    stage: Stage
    note: _Note = ""
    override_gate: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=500,
                pattern=r"^[^\u0000-\u001f\u007f]*$",
                description="Why it shall decide although it does not pass the gate; kept with the version for ever, no personal data",
            ),
        ]
        | None
    ) = None


class ModelRollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    note: _Note = ""


class OverrideRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version the tenant is given, and why."""

    version: Annotated[str, Meta(pattern=VERSION_PATTERN)]
    note: _Note = ""


_, MODEL_SCHEMAS = msgspec.json.schema_components(
    [PromoteRequest, ModelRollbackRequest, OverrideRequest], ref_template="#/components/schemas/{name}"
)
"""For the OpenAPI document."""
_promote = msgspec.json.Decoder(PromoteRequest)
_rollback = msgspec.json.Decoder(ModelRollbackRequest)
_override = msgspec.json.Decoder(OverrideRequest)

_VERSION = answer("The version", "version", "stage", "thresholds", "metrics", "files", "overrides")
_OVERRIDE = answer("What decides for the tenant", "tenant_id", "version", "set_at", "set_by", "note")


def _takes(schema: str, example: Any, *, required: bool = True) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


def models_router(
    models: ModelsInForce,
    registry: ModelRegistry,
    files: ModelFiles,
    tallies: ShadowTallies,
    manage: ManageModels,
    catalogue: Catalogue,
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["fraud models"])

    @router.get(
        "",
        summary="The model in use",
        responses=answer("The model", "version", "override", "thresholds", "features", "training", "metrics"),
    )
    async def get_model(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_SCORE)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """The one that decides for the tenant: how good it is, on a period after the one that it was trained on; what its features mean.

        An operator who names no tenant gets the champion.
        """
        if caller.tenant_id is None and not tenant_id:
            # No override is that of the platform.
            tenant = PLATFORM
        else:
            tenant = await enter(request, caller, tenant_id, Action.FRAUD_SCORE)
        card = (await models([tenant]))[tenant].card
        override = None if tenant == PLATFORM else await registry.override(tenant)
        features = [
            {
                "name": feature.name,
                "unit": feature.unit,
                "description": feature.description,
                "reason_code": feature.reason.code,
                "reason_text": feature.reason.text,
            }
            for feature in (catalogue[name] for name in card.features)
        ]
        return MsgspecResponse(
            {
                "version": card.version,
                "override": override is not None,
                "thresholds": card.thresholds,
                "features": features,
                "training": card.training,
                "metrics": card.metrics,
            }
        )

    @router.get("/versions", summary="All versions", responses=answer("A page", "versions", "next_cursor"))
    async def versions(
        caller: Operator,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 20,
        cursor: CursorParameter = None,
    ) -> Response:
        """The newest first, each with its stage and its metrics. For operators."""
        of_platform(caller)
        page = await registry.versions(None if cursor is None else _before(cursor), limit + 1)
        shown = page[:limit]
        last = shown[-1] if len(page) > limit else None
        return MsgspecResponse(
            {
                "versions": [_summary(one, files) for one in shown],
                "next_cursor": None
                if last is None
                else encode_cursor([_microseconds(last.registered_at), last.version]),
            }
        )

    @router.get("/versions/{version}", summary="One version", responses={**_VERSION, **NOT_FOUND})
    async def one(caller: Operator, version: Version) -> Response:
        """With its whole card, and the newest hundred of its moves between stages. For operators."""
        of_platform(caller)
        found = await registry.version(version)
        if found is None:
            raise NotFound(f"There is no version {version}.")
        changes = await registry.changes(version, _CHANGES)
        return MsgspecResponse(_document(found, files) | {"changes": [_change(change) for change in changes]})

    @router.get(
        "/versions/{version}/shadow",
        summary="What a shadow would have decided",
        responses={
            **answer("The comparison", "version", "tenant_id", "since", "payments", "agreement", "against"),
            **NOT_FOUND,
        },
    )
    async def shadow(
        request: Request,
        caller: Operator,
        version: Version,
        tenant_id: TenantParameter = None,
        days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="Today and the days before it, in UTC")] = 7,
    ) -> Response:
        """Beside what was decided, of one tenant or, without `tenant_id`, of all: the share of payments with the same outcome, and the shares
        that were sent to review and declined, and would have been. `against` has the same for each model that decided. The tenant's
        policy applies to both. For operators.

        Seconds behind. Decisions are left out when the queue is full (metric `weir.fraud.shadow.dropped`).
        """
        of_platform(caller)
        if await registry.version(version) is None:
            raise NotFound(f"There is no version {version}.")
        tenant = ALL_TENANTS
        if tenant_id:
            tenant = TenantId(tenant_id)
            await tenant_access(request, caller, tenant, Action.FRAUD_MODELS_MANAGE)
        since = clock().date() - timedelta(days=days - 1)
        found = await tallies.of(tenant, version, since)
        return MsgspecResponse(
            {
                "version": version,
                "tenant_id": tenant_id or None,
                "since": since,
                **_compared(found),
                "against": {
                    against: _compared({tally: count for tally, count in found.items() if tally.against == against})
                    for against in sorted({tally.against for tally in found})
                },
            }
        )

    @router.post(
        "/versions/{version}/promote",
        summary="Move a version to a stage",
        responses={**_VERSION, **NOT_FOUND, **CONFLICT},
        openapi_extra=_takes("PromoteRequest", {"stage": "shadow", "note": "Trained on the labels of October"}),
    )
    async def promote(request: Request, caller: Operator, version: Version) -> Response:
        """In force everywhere within five seconds, while payments are scored. For operators; audited.

        `shadow` scores beside the champion, and is one; the one before becomes a candidate. `challenger` decides for the tenants that are
        given it. `champion` decides for everybody else; the one before is retired, or a challenger where tenants were given it.

        To `challenger` and `champion` only through the gate (`GET …/gate`): 409 with `failed`, the checks that did not pass, each with value and bound. With
        `override_gate`, a reason, it is moved all the same; that needs the action `fraud_models:override_gate`, and stands in the version's
        `changes`. A rollback needs no gate.

        409 says why a version cannot be moved; `reason` is there when its model was tried and refused: `missing`, `hash`, `card`,
        `features`, `unreadable`, `explanation`.
        """
        of_platform(caller)
        asked = decode_body(_promote, await request.body())
        moved = await manage.promote(caller, version, asked.stage, asked.note, asked.override_gate)
        return MsgspecResponse(_document(moved, files))

    @router.post(
        "/rollback",
        summary="Back to the champion before",
        responses={**_VERSION, **CONFLICT},
        openapi_extra=_takes("ModelRollbackRequest", {"note": "Declines twice as much"}, required=False),
    )
    async def rollback(request: Request, caller: Operator) -> Response:
        """It decides again, everywhere within five seconds; a second call goes back one further. For operators; audited."""
        of_platform(caller)
        asked = decode_body(_rollback, await request.body() or b"{}")
        moved = await manage.roll_back(caller, asked.note)
        return MsgspecResponse(_document(moved, files))

    @router.get("/override", summary="What a tenant was given", responses={**_OVERRIDE, **NOT_FOUND})
    async def override(
        request: Request,
        caller: Annotated[Principal, principal(Action.FRAUD_SCORE)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """The version that decides for the tenant in place of the champion. 404: the champion does."""
        tenant = await enter(request, caller, tenant_id, Action.FRAUD_SCORE)
        found = await registry.override(tenant)
        if found is None:
            raise NotFound("The champion decides for this tenant.")
        return MsgspecResponse({"tenant_id": tenant, **msgspec.structs.asdict(found)})

    @router.put(
        "/override",
        summary="Give a tenant a version",
        responses={**_OVERRIDE, **NOT_FOUND, **CONFLICT},
        openapi_extra=_takes("OverrideRequest", {"version": "fraud-0123456789ab", "note": "Sells tickets only"}),
    )
    async def put_override(request: Request, caller: Operator, tenant_id: TenantParameter = None) -> Response:
        """A challenger decides for the tenant, or the present champion whatever is promoted later. For operators; audited."""
        of_platform(caller)
        asked = decode_body(_override, await request.body())
        tenant = _named(tenant_id)
        await tenant_access(request, caller, tenant, Action.FRAUD_MODELS_MANAGE)
        made = await manage.give(caller, tenant, asked.version, asked.note)
        return MsgspecResponse({"tenant_id": tenant, **msgspec.structs.asdict(made)})

    @router.delete(
        "/override",
        summary="Back to the champion for a tenant",
        responses={**answer("What decides now", "tenant_id", "version"), **NOT_FOUND},
    )
    async def delete_override(request: Request, caller: Operator, tenant_id: TenantParameter = None) -> Response:
        """The champion decides again. 404: it did. For operators; audited."""
        of_platform(caller)
        tenant = _named(tenant_id)
        await tenant_access(request, caller, tenant, Action.FRAUD_MODELS_MANAGE)
        await manage.take_back(caller, tenant)
        return MsgspecResponse({"tenant_id": tenant, "version": (await models([PLATFORM]))[PLATFORM].card.version})

    return router


def _compared(found: Mapping[Tally, int]) -> dict[str, Any]:
    counts: Counter[tuple[Outcome, Outcome]] = Counter()
    for tally, payments in found.items():
        counts[tally.decided, tally.would] += payments
    return shadow_report(counts)._asdict()


def _summary(one: ModelVersion, files: ModelFiles) -> dict[str, Any]:
    return {
        "version": one.version,
        "stage": one.stage,
        "thresholds": one.card.thresholds,
        "metrics": one.card.metrics,
        "files": {"uri": None if one.folder is None else files.uri(one.folder), "sha256": one.files},
        "overrides": one.overrides,
        "registered_at": one.registered_at,
        "registered_by": one.registered_by,
        "staged_at": one.staged_at,
        "staged_by": one.staged_by,
        "first_served_at": one.first_served_at,
    }


def _document(one: ModelVersion, files: ModelFiles) -> dict[str, Any]:
    return _summary(one, files) | {
        "features": one.card.features,
        "features_fingerprint": one.card.features_fingerprint,
        "training": one.card.training,
    }


def _change(change: ModelChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.__struct_fields__ if name != "version"}


def of_platform(caller: Principal) -> None:
    if caller.tenant_id is not None:
        raise Forbidden("Models are managed with the platform's own credential, not with a tenant's.")


def _named(tenant_id: str | None) -> TenantId:
    if not tenant_id:
        raise InvalidRequest(
            "An operator says which tenant.",
            errors=[FieldError(parameter="tenant_id", expected="a tenant's id", got="nothing")],
        )
    return TenantId(tenant_id)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MICROSECONDS: Final = 2**57
"""The year 6537."""


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _before(cursor: str) -> tuple[datetime, str]:
    """Whole microseconds: a second as a float loses the last of them."""
    at, version = decode_cursor(cursor, 2)
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < _MOST_MICROSECONDS or not _is_version(version):
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out.",
            errors=[
                FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
            ],
        )
    return _EPOCH + timedelta(microseconds=at), version


def _is_version(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(VERSION_PATTERN, value) is not None
