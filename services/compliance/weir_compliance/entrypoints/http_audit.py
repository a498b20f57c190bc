"""`/api/v2/audit`: the log for auditors. Reading it is itself an entry."""

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from weir_common.audit import PLATFORM, AuditEntry, AuditTrail
from weir_common.auth import Action, Principal
from weir_common.http import CursorParameter, MsgspecResponse, answer, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest

from weir_compliance.domain.audit_chain import StoredEntry
from weir_compliance.domain.audit_leaf import log_id_of, read_leaf
from weir_compliance.ports import AuditLog

_MAX_PAGE = 1_000
TenantQuery = Annotated[
    str | None,
    Query(description="Default: the caller's own.", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,62}|__platform__)$"),
]

Auditor = Annotated[Principal, principal(Action.AUDIT_READ)]


def audit_router(log: AuditLog, audit: AuditTrail) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v2/audit", tags=["audit"])

    async def tenant_of(request: Request, caller: Principal, asked: str | None) -> TenantId:
        # An operator who names no tenant means the platform's own log.
        wanted = TenantId(asked) if asked else caller.tenant_id or PLATFORM
        await tenant_access(request, caller, wanted, Action.AUDIT_READ)
        return wanted

    @router.get(
        "/entries",
        summary="Entries of a tenant's log by sequence, with what is needed to verify them",
        responses=answer("A page of entries", "log_id", "entries", "next_cursor"),
    )
    async def entries(
        request: Request,
        caller: Auditor,
        tenant_id: TenantQuery = None,
        cursor: CursorParameter = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 100,
    ) -> Response:
        after = _after(cursor)
        tenant = await tenant_of(request, caller, tenant_id)
        await audit.record(
            AuditEntry(
                tenant_id=tenant,
                actor=caller.subject,
                actor_kind=caller.kind,
                action="audit.read",
                object_ref=log_id_of(tenant),
                outcome="success",
                detail={"after": str(after), "limit": str(limit)},
            )
        )
        page = await log.entries(tenant, after, limit)
        return MsgspecResponse(
            {
                "log_id": log_id_of(tenant),
                "entries": [_entry(row) for row in page],
                "next_cursor": encode_cursor([page[-1].seq]) if len(page) == limit else None,
            },
            headers={"Cache-Control": "no-store"},
        )

    @router.get(
        "/head",
        summary="Where a tenant's log ends: note it elsewhere, to verify against it later",
        responses=answer("The head", "log_id", "size", "hash"),
    )
    async def head(request: Request, caller: Auditor, tenant_id: TenantQuery = None) -> Response:
        found = await log.head(await tenant_of(request, caller, tenant_id))
        return MsgspecResponse({"log_id": found.log_id, "size": found.size, "hash": found.hash.hex()})

    return router


def _after(cursor: str | None) -> int:
    if cursor is None:
        return -1
    (seq,) = decode_cursor(cursor, 1)
    if not isinstance(seq, int) or isinstance(seq, bool) or not -1 <= seq < 2**63:
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out.",
            errors=[FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor)],
        )
    return seq


def _entry(row: StoredEntry) -> dict[str, Any]:
    """For people (`entry`, `detail`) and for verifiers (the bytes that were hashed)."""
    try:
        members: Any = read_leaf(row.leaf)
    except ValueError:
        members = None
    return {
        "seq": row.seq,
        "entry_id": row.entry_id,
        "entry": members,
        "detail": None if row.payload is None else json.loads(row.payload),
        "leaf": base64.b64encode(row.leaf).decode(),
        "leaf_hash": row.leaf_hash.hex(),
        "salt": None if row.salt is None else row.salt.hex(),
        "payload": None if row.payload is None else base64.b64encode(row.payload).decode(),
        "fault": row.fault,
    }
