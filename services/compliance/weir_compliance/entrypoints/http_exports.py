"""`/api/v2/data/export/gdpr`: ask for a copy of a person's data, follow it, fetch it."""

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import FileResponse
from weir_common.audit import AuditEntry, AuditTrail, Outcome
from weir_common.auth import Action, Principal
from weir_common.errors import RetryError
from weir_common.http import (
    CONFLICT,
    GONE,
    NOT_FOUND,
    MsgspecResponse,
    TenantParameter,
    answer,
    principal,
    tenant_access,
)
from weir_common.ids import TenantId
from weir_common.problems import Conflict, FieldError, InvalidRequest, NotFound

from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.entrypoints.documentation import json_of
from weir_compliance.entrypoints.export_body import ExportBody, export_command, read_export_body
from weir_compliance.entrypoints.status_document import PATH, SubjectRequestDocument, status_document
from weir_compliance.fetch_export import FetchExport
from weir_compliance.ports import RequestWorkflows
from weir_compliance.request_export import RequestExport

# No intermediary may keep any of this.
_PRIVATE = {"Cache-Control": "no-store"}

Reader = Annotated[Principal, principal(Action.SUBJECT_REQUESTS_READ)]
Writer = Annotated[Principal, principal(Action.SUBJECT_REQUESTS_WRITE)]
RequestId = Annotated[UUID, Path(description="As given when the request was received.")]


def exports_router(
    *,
    request_export: RequestExport,
    fetch: FetchExport,
    files: ExportFiles,
    workflows: RequestWorkflows,
    audit: AuditTrail,
) -> APIRouter:
    """The routes. `tenant_access` decides on every one of them whether the caller may enter the tenant."""
    router = APIRouter(tags=["subject requests"])

    async def tenant_of(request: Request, caller: Principal, asked: str | None, action: Action) -> TenantId:
        wanted = asked or caller.tenant_id
        if wanted is None:
            raise InvalidRequest(
                "An operator says whose request is meant.",
                errors=[FieldError(parameter="tenant_id", expected="the id of a tenant", got="nothing")],
            )
        await tenant_access(request, caller, TenantId(wanted), action)
        return TenantId(wanted)

    @router.post(
        PATH,
        status_code=202,
        summary="Ask for a copy of everything held about a person",
        responses={
            202: {
                "description": "Received for good; `Location` says where to follow it",
                "content": json_of(SubjectRequestDocument),
            }
        },
        openapi_extra={"requestBody": {"required": True, "content": json_of(ExportBody)}},
    )
    async def receive(
        request: Request,
        caller: Writer,
        idempotency_key: Annotated[
            str | None, Header(description="Repeating a request with the same key starts no second export.")
        ] = None,
    ) -> Response:
        body = read_export_body(await request.body())
        await tenant_access(request, caller, TenantId(body.tenant_id), Action.SUBJECT_REQUESTS_WRITE)
        command = export_command(body, idempotency_key)
        received = await request_export(caller, command)
        location = f"{PATH}/{received.request.request_id}"
        return MsgspecResponse(
            status_document(received.request), status_code=202, headers={"Location": location, **_PRIVATE}
        )

    @router.get(
        PATH + "/{request_id}",
        summary="State of a request, and of each service that was asked",
        responses={200: {"description": "The request", "content": json_of(SubjectRequestDocument)}, **NOT_FOUND},
    )
    async def status(
        request: Request, caller: Reader, request_id: RequestId, tenant_id: TenantParameter = None
    ) -> Response:
        tenant = await tenant_of(request, caller, tenant_id, Action.SUBJECT_REQUESTS_READ)
        return MsgspecResponse(status_document(await fetch.request(tenant, request_id)), headers=_PRIVATE)

    @router.get(
        PATH + "/{request_id}/manifest",
        summary="What the archive holds, without saying whose",
        responses={**answer("The manifest"), **NOT_FOUND, **CONFLICT, **GONE},
    )
    async def manifest(
        request: Request, caller: Reader, request_id: RequestId, tenant_id: TenantParameter = None
    ) -> Response:
        tenant = await tenant_of(request, caller, tenant_id, Action.SUBJECT_REQUESTS_READ)
        return Response(await fetch.manifest(tenant, request_id), media_type="application/json", headers=_PRIVATE)

    @router.get(
        PATH + "/{request_id}/download",
        summary="The encrypted archive (age; a gzipped tar inside)",
        responses={
            200: {"content": {"application/octet-stream": {}}, "description": "The archive"},
            **NOT_FOUND,
            **CONFLICT,
            **GONE,
        },
        response_class=FileResponse,
    )
    async def download(
        request: Request, caller: Writer, request_id: RequestId, tenant_id: TenantParameter = None
    ) -> Response:
        tenant = await tenant_of(request, caller, tenant_id, Action.SUBJECT_REQUESTS_WRITE)
        archive = await fetch.archive(caller, tenant, request_id)
        path = files.archive(request_id)
        if not path.is_file():
            raise NotFound("The archive is not where it was put; the operator has to look.", slug="archive-lost")
        digest = base64.b64encode(archive.sha256).decode()
        return FileResponse(
            path,
            media_type="application/octet-stream",
            filename=f"weir-export-{request_id}.tar.gz.age",
            headers={"Repr-Digest": f"sha-256=:{digest}:", **_PRIVATE},
        )

    @router.post(
        PATH + "/{request_id}/download-key",
        summary="The key of the archive; handed out once and not kept",
        responses={**answer("The key", "request_id", "identity"), **NOT_FOUND, **CONFLICT, **GONE},
    )
    async def download_key(
        request: Request, caller: Writer, request_id: RequestId, tenant_id: TenantParameter = None
    ) -> Response:
        tenant = await tenant_of(request, caller, tenant_id, Action.SUBJECT_REQUESTS_WRITE)
        identity = await fetch.key(caller, tenant, request_id)
        return MsgspecResponse({"request_id": str(request_id), "identity": identity}, headers=_PRIVATE)

    @router.post(
        PATH + "/{request_id}/stores/{store}/retry",
        status_code=202,
        summary="Ask one service again now",
        responses={
            202: {"description": "It is being asked", "content": json_of(SubjectRequestDocument)},
            **NOT_FOUND,
            **CONFLICT,
        },
    )
    async def retry(
        request: Request,
        caller: Writer,
        request_id: RequestId,
        store: Annotated[str, Path(max_length=64, json_schema_extra={"pattern": "^[a-z][a-z-]{0,63}$"})],
        tenant_id: TenantParameter = None,
    ) -> Response:
        tenant = await tenant_of(request, caller, tenant_id, Action.SUBJECT_REQUESTS_WRITE)
        found = await fetch.request(tenant, request_id)
        if store not in found.tasks:
            raise NotFound("The request has no such store.")
        # Written before it is tried: an attempt that then fails leaves a second entry, never a success without one.
        await audit.record(_retry_entry(caller, tenant, request_id, store, "success"))
        try:
            await workflows.rerun_store(tenant, request_id, store)
        except (Conflict, RetryError):
            await audit.record(_retry_entry(caller, tenant, request_id, store, "failure"))
            raise
        return MsgspecResponse(
            status_document(await fetch.request(tenant, request_id)), status_code=202, headers=_PRIVATE
        )

    return router


def _retry_entry(caller: Principal, tenant_id: TenantId, request_id: UUID, store: str, outcome: Outcome) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        actor=caller.subject,
        actor_kind=caller.kind,
        action="subject_request.retry_store",
        object_ref=f"subject_request/{request_id}",
        outcome=outcome,
        detail={"store": store},
    )
