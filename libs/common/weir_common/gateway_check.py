"""The gateway's question: whose credential is this? Asked for each request before it is routed (Envoy ``ext_authz`` over HTTP).

The answer names the tenant in ``x-weir-tenant``, which the gateway's per-tenant limits use: a bucket must not be keyed by
anything that a caller can forge. Services judge the credential again themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from weir_common.auth import Authenticator
from weir_common.problems import MEDIA_TYPE, Problem

PREFIX = "/internal/authz"


class GatewayCheck:
    """Wraps an application; any two services with it make the check highly available.

    Plain ASGI in front of the application, since it is asked for every request of the platform: 1.2 ms through router and
    middleware, 0.2 ms so.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = self._authenticator.authenticate(
                api_key=headers.get("x-api-key"), authorization=headers.get("authorization")
            )
        except Problem as problem:
            body = msgspec.json.encode(problem.document(instance=scope["path"].removeprefix(PREFIX)))
            await _answer(send, problem.status, {"content-type": MEDIA_TYPE, **problem.headers}, body)
            return
        await _answer(
            send,
            200,
            {
                "x-weir-tenant": caller.tenant_id or "__platform__",
                "x-weir-principal": caller.subject,
                "x-weir-kind": caller.kind,
            },
        )


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
