"""REST: the token endpoint (RFC 6749, client credentials) and the public keys that verify its tokens (RFC 7517)."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Request, Response
from weir_common.http import PUBLIC, MsgspecResponse, answer, decode_body
from weir_common.problems import FieldError, InvalidRequest, Unauthenticated

from weir_tenant_admin.adapters.token_signer import read_key_set
from weir_tenant_admin.entrypoints.documentation import answers
from weir_tenant_admin.entrypoints.http_tenants import TokenView, token_view
from weir_tenant_admin.exchange_key import KeyExchange

_GRANT = "client_credentials"


class TokenBody(msgspec.Struct, frozen=True):
    """The grant as JSON; ``client_secret`` is the API key (it may come in ``X-Api-Key`` or by HTTP Basic instead)."""

    grant_type: Literal["client_credentials"] = "client_credentials"
    client_secret: str | None = None


TYPES = (TokenBody,)

_token_body = msgspec.json.Decoder(TokenBody)


def auth_router(*, exchange: KeyExchange, jwks_path: Path) -> APIRouter:
    """Everything under /api/v2/auth; both endpoints are public."""
    router = APIRouter(prefix="/api/v2/auth", tags=["authentication"])

    @router.post(
        "/token",
        summary="Exchange an API key for a ten-minute token",
        responses=answers(200, TokenView, "An EdDSA token"),
        openapi_extra={
            # The key may come in the body instead, or by HTTP Basic.
            "security": [{"apiKey": []}, {}],
            "requestBody": {
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/TokenBody"}},
                    "application/x-www-form-urlencoded": {
                        "schema": {
                            "type": "object",
                            "required": ["grant_type"],
                            "properties": {
                                "grant_type": {"const": _GRANT},
                                "client_secret": {"type": "string"},
                            },
                        }
                    },
                }
            },
        },
    )
    async def token(request: Request) -> Response:
        secret = await _secret(request)
        if secret is None:
            raise Unauthenticated(
                "Send the API key as 'client_secret', in 'X-Api-Key' or by HTTP Basic.",
                extra={"error": "invalid_client"},
            )
        return MsgspecResponse(token_view(await exchange(secret)), headers={"Cache-Control": "no-store"})

    @router.get(
        "/jwks.json",
        summary="Public keys that verify our tokens",
        responses=answer("The key set", "keys"),
        openapi_extra=PUBLIC,
    )
    async def jwks() -> Response:
        key_set = await asyncio.to_thread(read_key_set, jwks_path)
        return MsgspecResponse(key_set, headers={"Cache-Control": "public, max-age=300"})

    return router


async def _secret(request: Request) -> str | None:
    body = await request.body()
    secret: str | None = None
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        grant = form.get("grant_type", "")
        if grant != _GRANT:
            raise InvalidRequest(
                "This endpoint knows one grant.",
                status=400,
                errors=[FieldError("/grant_type", _GRANT, grant[:80])],
                extra={"error": "unsupported_grant_type"},
            )
        secret = form.get("client_secret")
    elif body:
        secret = decode_body(_token_body, body).client_secret
    return secret or request.headers.get("x-api-key") or _basic_password(request.headers.get("authorization", ""))


def _basic_password(header: str) -> str | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if separator else None
