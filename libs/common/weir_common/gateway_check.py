"""The gateway's question: whose credential is this? Asked for each request before it is routed (Envoy ``ext_authz`` over HTTP).

The answer names the tenant in ``x-weir-tenant``, which the gateway's per-tenant limits use: a bucket must not be keyed by
anything that a caller can forge. Services judge the credential again themselves.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from weir_common.auth import Authenticator

PREFIX = "/internal/authz"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def gateway_check_router() -> APIRouter:
    """Mount it on the services that the gateway may ask; any two of them make the check highly available."""
    router = APIRouter()

    @router.api_route(PREFIX + "/{path:path}", methods=_METHODS, include_in_schema=False)
    async def check(request: Request, path: str) -> Response:
        authenticator: Authenticator = request.app.state.authenticator
        caller = authenticator.authenticate(
            api_key=request.headers.get("x-api-key"), authorization=request.headers.get("authorization")
        )
        return Response(
            status_code=200,
            headers={
                "x-weir-tenant": caller.tenant_id or "__platform__",
                "x-weir-principal": caller.subject,
                "x-weir-kind": caller.kind,
            },
        )

    return router
