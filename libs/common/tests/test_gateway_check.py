"""The credential check in front of an application: it answers its own paths and nothing else."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from weir_common.auth import Authenticator, Principal, Role
from weir_common.gateway_check import GatewayCheck
from weir_common.ids import TenantId
from weir_common.problems import Unauthenticated


class _Authenticator:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        if api_key != "good":
            raise Unauthenticated("The API key is not known.")
        return Principal(subject="web", tenant_id=TenantId("shop"), roles=frozenset({Role.INGEST}), kind="machine")


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"application"})


@pytest.fixture
def client() -> httpx.AsyncClient:
    check = GatewayCheck(_application, cast("Authenticator", _Authenticator()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=cast("Any", check)), base_url="http://check")


async def test_a_good_credential_gives_the_tenant(client: httpx.AsyncClient) -> None:
    answer = await client.post("/internal/authz/api/v2/events/batch", headers={"x-api-key": "good"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-weir-tenant"] == "shop"
    assert answer.headers["x-weir-principal"] == "web"


async def test_a_bad_one_gets_the_problem_of_the_path_that_was_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/internal/authz/api/v2/anomalies/active")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "/api/v2/anomalies/active"


async def test_everything_else_goes_to_the_application(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v2/anomalies/active")).status_code == 299
    assert (await client.get("/livez")).status_code == 299
