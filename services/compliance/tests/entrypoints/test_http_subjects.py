"""The look-up over HTTP, without sockets."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.identifiers import user, visitor
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_compliance.entrypoints.documentation import document_types
from weir_compliance.entrypoints.http_subjects import LookupBody, LookupDocument, subjects_router

PATH = "/api/v2/compliance/subjects/lookup"
SHOP = TenantId("shop-1")


class Callers:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        roles = {"analyst": Role.FRAUD_ANALYST, "privacy": Role.PRIVACY_OFFICER, "ingest": Role.INGEST}
        if api_key in roles:
            return Principal(SHOP, f"key:{api_key}", "machine", frozenset({roles[api_key]}), api_key)
        if api_key == "operator":
            return Principal(None, "key:operator", "machine", frozenset({Role.OPERATOR}), api_key)
        raise Unauthenticated("Who is it?")


@pytest.fixture
def vault() -> OpenVault:
    return vault_in_memory()


@pytest.fixture
async def client(vault: OpenVault, recorded_audit: Any) -> AsyncIterator[httpx.AsyncClient]:
    callers: Any = Callers()
    app = create_app(
        service="compliance",
        title="compliance",
        description="",
        readiness=Readiness(),
        authenticator=callers,
        audit=recorded_audit,
    )
    app.include_router(subjects_router(vault.vault, vault.keys, recorded_audit))
    document_types(app, [LookupBody, LookupDocument])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://compliance") as opened:
        yield opened


async def test_ids_by_identifier_and_null_for_who_is_not_known(
    client: httpx.AsyncClient, vault: OpenVault, recorded_audit: Any
) -> None:
    known = await vault.vault.resolve(SHOP, [user("u-1"), visitor("u-1")])
    tokens = await vault.keys.link_tokens(SHOP)
    body = {"user_ids": ["u-1", "u-2"], "anonymous_ids": ["u-1"], "device_fingerprints": ["fp"]}
    answer = await client.post(PATH, json=body, headers={"x-api-key": "analyst"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "user_ids": {"u-1": known[user("u-1")].subject_id, "u-2": None},
        "anonymous_ids": {"u-1": known[visitor("u-1")].subject_id},
        "device_fingerprints": {"fp": tokens.of["device"]("fp")},
    }
    assert answer.headers["cache-control"] == "no-store"
    assert await vault.vault.find(SHOP, [user("u-2")]) == {}, "nobody becomes a subject by being asked for"
    entry = recorded_audit.entries[-1]
    assert (entry.action, entry.tenant_id, entry.actor) == ("subjects.look_up", SHOP, "key:analyst")
    assert "u-1" not in str(entry)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({"user_ids": ["x"] * 51}, "/user_ids"),
        ({"user_ids": [""]}, "/user_ids/0"),
        ({"user_ids": ["x" * 513]}, "/user_ids/0"),
        ({"emails": ["x"]}, ""),
    ],
)
async def test_what_is_no_question(client: httpx.AsyncClient, body: Any, pointer: str) -> None:
    answer = await client.post(PATH, json=body, headers={"x-api-key": "privacy"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0].get("pointer", "") == pointer


async def test_who_may_ask_for_whom(client: httpx.AsyncClient, vault: OpenVault) -> None:
    known = await vault.vault.resolve(SHOP, [user("u-1")])
    body = {"user_ids": ["u-1"]}
    assert (await client.post(PATH, json=body, headers={"x-api-key": "ingest"})).status_code == 403
    other = await client.post(f"{PATH}?tenant_id=shop-2", json=body, headers={"x-api-key": "analyst"})
    assert other.status_code == 403
    assert (await client.post(PATH, json=body, headers={"x-api-key": "operator"})).status_code == 422
    asked = await client.post(f"{PATH}?tenant_id=shop-2", json=body, headers={"x-api-key": "operator"})
    assert asked.json()["user_ids"] == {"u-1": None}
    own = await client.post(f"{PATH}?tenant_id=shop-1", json=body, headers={"x-api-key": "operator"})
    assert own.json()["user_ids"] == {"u-1": known[user("u-1")].subject_id}
