"""The quarantine's routes keep apart: what is no id is no entry."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.readiness import Readiness
from weir_ingest.adapters.memory_quarantine import MemoryQuarantine
from weir_ingest.entrypoints.http_quarantine import PREFIX, quarantine_router


class OneCaller:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        return Principal(TenantId("shop-1"), "key:shop", "machine", frozenset({Role.ADMIN}), "shop")


@pytest.fixture
async def client() -> httpx.AsyncClient:
    caller: Any = OneCaller()
    unused: Any = None
    app = create_app(
        service="ingest",
        title="ingest",
        description="",
        readiness=Readiness(),
        authenticator=caller,
        audit=unused,
    )
    app.include_router(quarantine_router(MemoryQuarantine(), unused, unused, max_event_bytes=1_000))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest")


@pytest.mark.parametrize("name", ["mend", "discard"])
async def test_a_method_that_a_route_does_not_have_is_405(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"{PREFIX}/{name}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("name", [str(uuid.uuid4()), "none", "0" * 64])
async def test_what_is_not_there_is_404(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"{PREFIX}/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [("since=2026-11-25T10:30:00Z", 200), ("since=0", 422), ("until=2026-11-25", 422), ("since=2026-11-25T10:30:00", 422)],
)  # fmt: skip
async def test_times_have_their_zone(client: httpx.AsyncClient, query: str, status: int) -> None:
    answer = await client.get(f"{PREFIX}?{query}")
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]
