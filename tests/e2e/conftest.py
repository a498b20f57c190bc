"""The whole mesh, as `make test` brings it up: through the gateway, over TLS, with tenants of each test's own."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory


@dataclass(frozen=True)
class Shop:
    """A tenant and its key."""

    tenant_id: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The credential."""
        return {"x-api-key": self.key}


class MakeShop(Protocol):
    """A tenant of its own; ``more``: what else it is made with."""

    def __call__(self, **more: Any) -> Awaitable[Shop]: ...


@pytest.fixture(scope="session")
def mesh() -> Mesh:
    """The running mesh (WEIR_STATE_DIR)."""
    return Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))


@pytest.fixture
async def gateway(mesh: Mesh) -> AsyncIterator[Gateway]:
    async with Gateway.of(mesh) as opened:
        yield opened


@pytest.fixture
def make_shop(gateway: Gateway) -> MakeShop:
    """A new tenant with a key that every service knows."""

    async def make(**more: Any) -> Shop:
        tenant = f"e2e-{secrets.token_hex(4)}"
        body = {"tenant_id": tenant, "name": "E2E", "tier": "standard", "vertical": "grocery", **more}
        (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
        answer = await gateway.operator(
            "POST", f"/api/v2/admin/tenants/{tenant}/keys", json={"client": "e2e", "roles": ["ingest", "owner"]}
        )
        answer.raise_for_status()
        shop = Shop(tenant, answer.json()["api_key"])
        await knows(gateway, shop)
        return shop

    return make


@pytest.fixture
async def shop(make_shop: MakeShop) -> Shop:
    return await make_shop()


@pytest.fixture
async def superuser(mesh: Mesh) -> AsyncIterator[asyncpg.Connection]:
    """The database owner's view, for reading the catalogue."""
    connection = await asyncpg.connect(
        host="127.0.0.1",
        port=mesh.port("postgres"),
        user="weir",
        password=mesh.secret("postgres-superuser"),
        database="weir",
        timeout=5,
        command_timeout=10,
    )
    yield connection
    await connection.close(timeout=5)


async def knows(gateway: Gateway, shop: Shop, seconds: float = 15) -> None:
    """Wait until the credential has reached every service."""
    paths = (
        f"/api/v2/analytics/realtime/dashboard?tenant_id={shop.tenant_id}",
        "/api/v2/ml/models/fraud",
        f"/api/v2/anomalies/active?tenant_id={shop.tenant_id}",
        "/api/v2/metrics/sla",
        f"/api/v2/audit/entries?tenant_id={shop.tenant_id}",
        "/api/v2/events/receipts/6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
    )
    async with asyncio.timeout(seconds):
        for path in paths:
            while (await gateway.client.get(path, headers=shop.headers)).status_code in (401, 503):
                await asyncio.sleep(0.1)
