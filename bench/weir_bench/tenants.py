"""Tenants of a bench's own."""

from __future__ import annotations

import asyncio
import secrets
import uuid

from weir_local.demo.api import Gateway

from weir_bench.load_generator import LoadTenant, weights_by_zipf


async def make_tenants(
    gateway: Gateway, count: int, *, quota_events_per_second: float | None = None
) -> list[LoadTenant]:
    """So many, busy by Zipf's law; every service knows their keys. Without a quota of their own they have their tier's."""
    made: list[LoadTenant] = []
    for weight in weights_by_zipf(count):
        tenant = f"bench-{secrets.token_hex(4)}"
        body: dict[str, str | float] = {
            "tenant_id": tenant,
            "name": "Bench",
            "tier": "enterprise",
            "vertical": "electronics",
        }
        if quota_events_per_second is not None:
            body["quota_events_per_second"] = quota_events_per_second
        (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
        answer = await gateway.operator(
            "POST", f"/api/v2/admin/tenants/{tenant}/keys", json={"client": "bench", "roles": ["ingest", "owner"]}
        )
        answer.raise_for_status()
        made.append(LoadTenant(tenant, answer.json()["api_key"], weight))
    paths = (
        f"/api/v2/analytics/realtime/dashboard?tenant_id={made[-1].id}",
        "/api/v2/ml/models/fraud",
        f"/api/v2/events/receipts/{uuid.uuid4()}",
    )
    async with asyncio.timeout(30):
        for path in paths:
            while (await gateway.client.get(path, headers={"x-api-key": made[-1].key})).status_code in (401, 503):  # noqa: ASYNC110 - the credential arrives by itself
                await asyncio.sleep(0.1)
    return made
