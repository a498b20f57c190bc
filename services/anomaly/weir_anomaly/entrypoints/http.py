"""``GET /api/v2/anomalies/…``: findings in pages, one finding, the rules."""

from __future__ import annotations

from typing import Annotated, get_args
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal
from weir_common.http import MsgspecResponse, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_anomaly.domain.engine import Engine
from weir_anomaly.domain.finding import Finding, FindingState
from weir_anomaly.domain.severity import Severity
from weir_anomaly.entrypoints.documents import finding_document, rule_document
from weir_anomaly.ports import FindingReader

MAX_LIMIT = 500
_STATES = get_args(FindingState)


def anomaly_router(findings: FindingReader, engine: Engine) -> APIRouter:
    """The routes of anomaly."""
    router = APIRouter(prefix="/api/v2/anomalies", tags=["anomalies"])

    @router.get("/active", summary="Findings that are open")
    async def active(
        request: Request,
        caller: Annotated[Principal, principal(Action.ANOMALIES_READ)],
        tenant_id: Annotated[str | None, Query(description="Needed by operators; a tenant's own by default")] = None,
        severity: Annotated[list[str] | None, Query(description="Only these; may be given several times")] = None,
        rule: Annotated[list[str] | None, Query(description="Only these; may be given several times")] = None,
        state: Annotated[str, Query(description="`open` (default), `closed` or `all`")] = "open",
        limit: Annotated[int, Query(description=f"1 to {MAX_LIMIT}")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    ) -> Response:
        """Newest first. Each finding says what was observed, what was expected, and what would have kept the rule silent."""
        tenant = _tenant(caller, tenant_id)
        await tenant_access(request, caller, tenant, Action.ANOMALIES_READ)
        after = _cursor(cursor)
        if not 1 <= limit <= MAX_LIMIT:
            raise _bad("limit", f"1 to {MAX_LIMIT}", str(limit))
        if state not in (*_STATES, "all"):
            raise _bad("state", "open, closed or all", state)
        unknown = [name for name in rule or () if name not in engine.rules]
        if unknown:
            raise _bad("rule", ", ".join(engine.rules), unknown[0])
        page = await findings.page(
            tenant,
            states=_STATES if state == "all" else (state,),
            severities=_severities(severity),
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

    @router.get("/rules", summary="The rules")
    async def rules(caller: Annotated[Principal, principal(Action.ANOMALIES_READ)]) -> Response:
        """What each rule decides, on what, and for how long."""
        return MsgspecResponse({"rules": [rule_document(each) for each in engine.rules.values()]})

    @router.get("/{finding_id}", summary="One finding")
    async def one(
        request: Request,
        caller: Annotated[Principal, principal(Action.ANOMALIES_READ)],
        finding_id: Annotated[str, Path(max_length=64)],
        tenant_id: Annotated[str | None, Query(description="Needed by operators; a tenant's own by default")] = None,
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


def _severities(names: list[str] | None) -> tuple[Severity, ...]:
    if not names:
        return tuple(Severity)
    try:
        return tuple(Severity(name) for name in names)
    except ValueError:
        wrong = next(name for name in names if name not in Severity._value2member_map_)
        raise _bad("severity", ", ".join(Severity), wrong) from None


def _cursor(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    opened_at, finding_id = decode_cursor(cursor, 2)
    try:
        return float(opened_at), str(UUID(str(finding_id)))
    except (TypeError, ValueError):
        raise _bad("cursor", "the value of next_cursor of an earlier page", cursor[:80]) from None


def _next(finding: Finding) -> str:
    return encode_cursor([finding.opened_at, str(finding.finding_id)])


def _bad(parameter: str, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(
        f"The parameter '{parameter}' is not valid.",
        errors=[FieldError(parameter=parameter, expected=expected, got=got[:80])],
    )
