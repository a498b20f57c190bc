"""REST: tenants, their API keys, and tokens for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from weir_common.auth import Action, Principal, Role
from weir_common.http import (
    CONFLICT,
    NOT_FOUND,
    TENANT_PATTERN,
    CursorParameter,
    MsgspecResponse,
    decode_body,
    principal,
    tenant_access,
)
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, InvalidRequest, NotFound

from weir_tenant_admin.create_tenant import CreateTenant, TenantCreation
from weir_tenant_admin.domain.tenant import TENANT_ID_SHAPE, Tier, Vertical, is_tenant_id
from weir_tenant_admin.domain.token_claims import PERSON_TOKEN_MAX_SECONDS
from weir_tenant_admin.entrypoints.documentation import answers, takes
from weir_tenant_admin.exchange_key import Token
from weir_tenant_admin.issue_key import IssueKey, KeyIssue
from weir_tenant_admin.mint_person_token import MintPersonToken, PersonTokenMint
from weir_tenant_admin.ports import StoredKey, Tenant, TenantStore
from weir_tenant_admin.revoke_key import KeyRevocation

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
ClientName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:@/-]+$")]
Roles = Annotated[list[Role], msgspec.Meta(min_length=1, max_length=10)]


class TenantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant to create."""

    tenant_id: Annotated[str, msgspec.Meta(pattern=f"^{TENANT_ID_SHAPE.pattern}$", examples=["merchant_12345"])]
    name: Name
    tier: Tier = Tier.STANDARD
    vertical: Vertical = Vertical.SERVICES
    quota_events_per_second: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    quota_bytes_per_second: Annotated[float, msgspec.Meta(gt=0, le=1e12)] | None = None
    quota_events_per_day: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None


class TenantView(msgspec.Struct, frozen=True):
    """A tenant as it is."""

    tenant_id: str
    name: str
    tier: Tier
    vertical: Vertical
    isolation: str
    status: str
    quota_events_per_second: float
    quota_bytes_per_second: float | None
    quota_events_per_day: int | None
    created_at: datetime
    created_by: str


class TenantPage(msgspec.Struct, frozen=True):
    """Tenants by id; ``next_cursor`` is absent on the last page."""

    tenants: list[TenantView]
    next_cursor: str | None = None


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to issue. ``client`` names the program that will hold it and may have two live keys."""

    client: ClientName
    roles: Roles
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    mode: Literal["live", "test"] = "live"


class KeyView(msgspec.Struct, frozen=True):
    """A key without its secret; ``hint`` is its prefix and last four characters."""

    key_id: str
    tenant_id: str | None
    client: str
    hint: str
    roles: list[Role]
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class IssuedKeyView(msgspec.Struct, frozen=True):
    """A new key. ``api_key`` is shown this once and cannot be asked for again."""

    api_key: str
    key: KeyView


class KeyList(msgspec.Struct, frozen=True):
    """All keys of a tenant, oldest first."""

    keys: list[KeyView]


class PersonTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token for a person of the tenant."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    roles: Roles
    expires_in: Annotated[int, msgspec.Meta(ge=60, le=PERSON_TOKEN_MAX_SECONDS)] = 600


class TokenView(msgspec.Struct, frozen=True):
    """RFC 6749 section 5.1; ``expires_in`` in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


TYPES = (TenantView, TenantPage, TenantBody, KeyBody, KeyView, IssuedKeyView, KeyList, PersonTokenBody, TokenView)

_tenant_body = msgspec.json.Decoder(TenantBody)
_key_body = msgspec.json.Decoder(KeyBody)
_person_body = msgspec.json.Decoder(PersonTokenBody)

# What has another shape is not found, like what has this one and is not there.
TenantInPath = Annotated[str, Path(json_schema_extra={"pattern": TENANT_PATTERN})]
KeyInPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
Manager = Annotated[Principal, principal(Action.TENANTS_MANAGE)]


def token_view(token: Token) -> TokenView:
    """The answer of both endpoints that give tokens."""
    return TokenView(token.access_token, token.token_type, token.expires_in, token.scope)


def tenants_router(
    *,
    store: TenantStore,
    create: TenantCreation,
    issue: KeyIssue,
    revoke: KeyRevocation,
    mint: PersonTokenMint,
) -> APIRouter:
    """Everything under /api/v2/admin/tenants."""
    router = APIRouter(prefix="/api/v2/admin/tenants", tags=["tenants"])

    @router.post(
        "",
        status_code=201,
        summary="Create a tenant (operators)",
        openapi_extra=takes(TenantBody),
        responses={**answers(201, TenantView, "The new tenant"), **CONFLICT},
    )
    async def create_tenant(request: Request, caller: Manager) -> Response:
        body = decode_body(_tenant_body, await request.body())
        tenant = await create(
            CreateTenant(
                tenant_id=TenantId(body.tenant_id),
                name=body.name,
                tier=body.tier,
                vertical=body.vertical,
                quota_events_per_second=body.quota_events_per_second,
                quota_bytes_per_second=body.quota_bytes_per_second,
                quota_events_per_day=body.quota_events_per_day,
            ),
            caller,
        )
        return MsgspecResponse(
            tenant_view(tenant), status_code=201, headers={"Location": f"{router.prefix}/{tenant.tenant_id}"}
        )

    @router.get(
        "", summary="Tenants that the caller may see", responses=answers(200, TenantPage, "A page of tenants by id")
    )
    async def list_tenants(
        caller: Manager,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: CursorParameter = None,
    ) -> Response:
        after = None
        if cursor is not None:
            (after,) = decode_cursor(cursor, 1)
            if not isinstance(after, str) or not is_tenant_id(after):
                raise InvalidRequest(
                    "The cursor is not one that this endpoint gave out.",
                    errors=[FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page")],
                )
        found = await store.tenants(after=after, limit=limit + 1, only=caller.tenant_id)
        page = found[:limit]
        more = encode_cursor([page[-1].tenant_id]) if len(found) > limit else None
        return MsgspecResponse(TenantPage([tenant_view(tenant) for tenant in page], more))

    @router.get("/{tenant_id}", summary="One tenant", responses={**answers(200, TenantView, "The tenant"), **NOT_FOUND})
    async def get_tenant(request: Request, tenant_id: TenantInPath, caller: Manager) -> Response:
        tenant = await store.tenant(await _entered(request, caller, tenant_id))
        if tenant is None:
            raise NotFound(f"There is no tenant '{tenant_id}'.")
        return MsgspecResponse(tenant_view(tenant))

    @router.post(
        "/{tenant_id}/keys",
        status_code=201,
        summary="Issue an API key (shown once)",
        openapi_extra=takes(KeyBody),
        responses={**answers(201, IssuedKeyView, "The new key, with its secret"), **NOT_FOUND, **CONFLICT},
    )
    async def issue_key(request: Request, tenant_id: TenantInPath, caller: Manager) -> Response:
        tenant = await _entered(request, caller, tenant_id)
        body = decode_body(_key_body, await request.body())
        issued = await issue(
            IssueKey(
                tenant_id=tenant,
                client=body.client,
                roles=tuple(body.roles),
                expires_at=body.expires_at.astimezone(UTC) if body.expires_at is not None else None,
                mode=body.mode,
            ),
            caller,
        )
        return MsgspecResponse(
            IssuedKeyView(issued.secret, _key_view(issued.stored)),
            status_code=201,
            headers={
                "Cache-Control": "no-store",
                "Location": f"{router.prefix}/{tenant}/keys/{issued.stored.key_id}",
            },
        )

    @router.get(
        "/{tenant_id}/keys",
        summary="Keys of a tenant",
        responses={**answers(200, KeyList, "Without secrets"), **NOT_FOUND},
    )
    async def list_keys(request: Request, tenant_id: TenantInPath, caller: Manager) -> Response:
        keys = await store.keys(await _entered(request, caller, tenant_id))
        return MsgspecResponse(KeyList([_key_view(key) for key in keys]))

    @router.delete(
        "/{tenant_id}/keys/{key_id}",
        summary="Revoke a key; refused everywhere within a second",
        responses={**answers(200, KeyView, "The revoked key"), **NOT_FOUND},
    )
    async def revoke_key(request: Request, tenant_id: TenantInPath, key_id: KeyInPath, caller: Manager) -> Response:
        tenant = await _entered(request, caller, tenant_id)
        try:
            identity = str(UUID(key_id))
        except ValueError as error:
            raise NotFound(f"Tenant '{tenant}' has no key '{key_id}'.") from error
        return MsgspecResponse(_key_view(await revoke(tenant, identity, caller)))

    @router.post(
        "/{tenant_id}/tokens",
        status_code=201,
        summary="A short-lived token for a person of the tenant",
        openapi_extra=takes(PersonTokenBody),
        responses={**answers(201, TokenView, "The token"), **NOT_FOUND},
    )
    async def mint_token(request: Request, tenant_id: TenantInPath, caller: Manager) -> Response:
        tenant = await _entered(request, caller, tenant_id)
        body = decode_body(_person_body, await request.body())
        token = await mint(
            MintPersonToken(
                tenant_id=tenant, subject=body.subject, roles=tuple(body.roles), lifetime_seconds=body.expires_in
            ),
            caller,
        )
        return MsgspecResponse(token_view(token), status_code=201, headers={"Cache-Control": "no-store"})

    return router


async def _entered(request: Request, caller: Principal, tenant_id: str) -> TenantId:
    """The tenant of the path, once the caller may enter it; a text that can be no tenant is not found."""
    tenant = TenantId(tenant_id)
    if not is_tenant_id(tenant_id):
        raise NotFound(f"There is no tenant '{tenant_id[:80]}'.")
    await tenant_access(request, caller, tenant, Action.TENANTS_MANAGE)
    return tenant


def tenant_view(tenant: Tenant) -> TenantView:
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        tier=tenant.tier,
        vertical=tenant.vertical,
        isolation=tenant.isolation,
        status=tenant.status,
        quota_events_per_second=tenant.quota_events_per_second,
        quota_bytes_per_second=tenant.quota_bytes_per_second,
        quota_events_per_day=tenant.quota_events_per_day,
        created_at=tenant.created_at,
        created_by=tenant.created_by,
    )


def _key_view(key: StoredKey) -> KeyView:
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return KeyView(
        key_id=key.key_id,
        tenant_id=key.tenant_id,
        client=key.client,
        hint=key.hint,
        roles=list(key.roles),
        state="revoked" if key.revoked_at is not None else "expired" if expired else "live",
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )
