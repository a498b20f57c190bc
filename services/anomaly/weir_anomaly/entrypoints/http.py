"""``GET /api/v2/anomalies/…``: findings in pages, one finding, the rules."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import (
    NOT_FOUND,
    CursorParameter,
    MsgspecResponse,
    TenantParameter,
    answer,
    principal,
    tenant_access,
)
from weir_common.ids import TenantId
from weir_common.pagination import decode_time_and_id, encode_cursor
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_anomaly.domain.engine import Engine
from weir_anomaly.domain.finding import Finding, FindingState
from weir_anomaly.domain.registry import all_rules
from weir_anomaly.domain.severity import Severity
from weir_anomaly.entrypoints.documents import finding_document, rule_document
from weir_anomaly.ports import FindingReader

MAX_LIMIT = 500
_STATES = get_args(FindingState)
_RULE_NAMES: dict[str, Any] = {"items": {"type": "string", "enum": [rule.name for rule in all_rules()]}}


def anomaly_router(findings: FindingReader, engine: Engine) -> APIRouter:
    """The routes of anomaly."""
    router = APIRouter(prefix="/api/v2/anomalies", tags=["anomalies"])

    @router.get(
        "/active",
        summary="Findings that are open",
        responses=answer("A page of findings", "tenant_id", "findings", "next_cursor"),
    )
    async def active(
        request: Request,
        caller: Annotated[Principal, principal(Action.ANOMALIES_READ)],
        tenant_id: TenantParameter = None,
        severity: Annotated[
            list[Severity] | None, Query(max_length=20, description="Only these; may be given several times")
        ] = None,
        rule: Annotated[
            list[str] | None,
            Query(max_length=20, description="Only these; may be given several times", json_schema_extra=_RULE_NAMES),
        ] = None,
        state: Annotated[Literal["open", "closed", "all"], Query(description="`open` by default")] = "open",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
        cursor: CursorParameter = None,
    ) -> Response:
        """Newest first. Each finding says what was observed, what was expected, and what would have kept the rule silent."""
        tenant = _tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.ANOMALIES_READ)
        after = decode_time_and_id(cursor) if cursor is not None else None
        unknown = [name for name in rule or () if name not in engine.rules]
        if unknown:
            raise _bad("rule", ", ".join(engine.rules), unknown[0])
        page = await findings.page(
            tenant,
            states=_STATES if state == "all" else (state,),
            severities=severity or tuple(Severity),
            rules=rule or (),
            after=after,
            limit=limit + 1,
        )
        shown, more = page[:limit], len(page) > limit
        return MsgspecResponse(
            {
                "tenant_id": tenant,
                "findings": [finding_document(finding) for finding in shown],
                "next_cursor": _next(shown[-1]) if more else None,
            }
        )

    @router.get("/rules", summary="The rules", responses=answer("Every rule", "rules"))
    async def rules(caller: Annotated[Principal, principal(Action.ANOMALIES_READ)]) -> Response:
        """What each rule decides, on what, and for how long."""
        return MsgspecResponse({"rules": [rule_document(each) for each in engine.rules.values()]})

    @router.get(
        "/{finding_id}",
        summary="One finding",
        responses={**answer("The finding", "finding_id", "rule", "severity", "state", "history"), **NOT_FOUND},
    )
    async def one(
        request: Request,
        caller: Annotated[Principal, principal(Action.ANOMALIES_READ)],
        finding_id: Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """With its evidence and history."""
        tenant = _tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.ANOMALIES_READ)
        try:
            wanted = UUID(finding_id)
        except ValueError:
            raise NotFound(f"There is no finding {finding_id}.") from None
        finding = await findings.get(tenant, wanted)
        if finding is None:
            raise NotFound(f"There is no finding {finding_id}.")
        return MsgspecResponse(finding_document(finding))

    return router


def _tenant(caller: Principal, tenant_id: str | None) -> TenantId:
    asked = tenant_id if tenant_id is not None else caller.tenant_id
    if not asked:
        raise _bad("tenant_id", "a tenant's id", "nothing")
    return TenantId(asked)


def _next(finding: Finding) -> str:
    return encode_cursor([finding.opened_at, str(finding.finding_id)])


def _bad(parameter: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(
        f"The parameter '{parameter}' is not valid.",
        errors=[FieldError(parameter=parameter, expected=expected, got=got[:80])],
    )
