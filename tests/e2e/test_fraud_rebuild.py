"""`weir fraud rebuild`: Valkey loses a shop's histories, and the archive, the log and the labels give them back, byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner, Result
from weir_common.valkey import valkey_client
from weir_fraud.adapters.archived_payments import ArchivedPayments, ArchiveSettings
from weir_fraud.cli import fraud
from weir_fraud.domain.payment import LABEL_FRAUD, OBSERVATION_BYTES, Observation, unpack
from weir_fraud.settings import FraudSettings
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

ARCHIVED, ON_THE_LOG = 300, 60
ARCHIVED_WITHIN, APPLIED_WITHIN = 75.0, 30.0
Histories = dict[str, list[Observation]]


@pytest.fixture
def environment(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command reads: this mesh."""
    for name, value in environment_of(mesh, "fraud").items():
        monkeypatch.setenv(name, value)
    lake = environment_of(mesh, "analytics")
    for name in ("WAREHOUSE", "CATALOG_DSN"):
        monkeypatch.setenv(f"WEIR_FRAUD_ARCHIVE_{name}", lake[f"WEIR_ANALYTICS_LAKE__{name}"])


@pytest.fixture
async def valkey(environment: None) -> AsyncIterator[Redis]:
    assert "WEIR_FRAUD_POSTGRES__DSN" in os.environ
    async with valkey_client(FraudSettings().valkey) as client:
        yield client


def payments_of(shop: Any, now: datetime, count: int, source: str, days: float) -> list[dict[str, Any]]:
    """The last `days` days: customers, branches and cards that meet again and again."""
    return [
        {
            "schema_version": "2.2",
            "tenant_id": shop.tenant_id,
            "event_metadata": {
                "event_id": str(uuid.uuid4()),
                "timestamp": (now - timedelta(days=days) * (1 - number / count)).isoformat(),
                "source_system": source,
            },
            "event_data": {
                "event_type": "transaction",
                "event_subtype": "purchase" if number % 7 else "payment_declined",
                "user_context": {"user_id": f"customer {number % 17}"},
                "business_context": {
                    "tenant_metadata": {"merchant_id": f"branch {number % 5}"},
                    "transaction_context": {
                        "cart_context": {"cart_value": {"final_total": 10.0 + number, "currency": "EUR"}}
                    },
                },
            },
        }
        for number in range(count)
    ]


async def send(gateway: Gateway, shop: Any, events: list[dict[str, Any]]) -> None:
    for start in range(0, len(events), 100):
        answer = await gateway.client.post(
            "/api/v2/events/batch", json={"events": events[start : start + 100]}, headers=shop.headers
        )
        assert {one["status"] for one in answer.json()["results"]} == {"accepted"}


async def keys_of(valkey: Redis, shop: Any) -> list[Any]:
    return [key async for key in valkey.scan_iter(match=f"fraud:{{{shop.tenant_id}}}:*", count=10_000)]


async def histories(valkey: Redis, shop: Any) -> Histories:
    """Of one instant in one order, since theirs may differ."""
    found: Histories = {}
    for key in await keys_of(valkey, shop):
        name = key.decode() if isinstance(key, bytes) else key
        if ":v2:" in name:
            packed = await valkey.get(key)
            rows = [unpack(packed[at : at + OBSERVATION_BYTES]) for at in range(0, len(packed), OBSERVATION_BYTES)]
            assert [row.at for row in rows] == sorted(row.at for row in rows)
            found[name] = sorted(rows)
    return found


def of_merchants(found: Histories) -> list[Observation]:
    return [row for key, rows in found.items() if ":merchant:" in key for row in rows]


async def until_applied(valkey: Redis, shop: Any, payments: int, frauds: int) -> Histories:
    """Every payment has a merchant: together they hold each once."""
    async with asyncio.timeout(APPLIED_WITHIN):
        while True:
            found = await histories(valkey, shop)
            rows = of_merchants(found)
            if len(rows) == payments and sum(row.label == LABEL_FRAUD for row in rows) == frauds:
                return found
            await asyncio.sleep(0.5)


async def until_archived(shop: Any, since: datetime, count: int) -> None:
    def read() -> int:
        archive = ArchivedPayments(ArchiveSettings())
        try:
            return archive.count(shop.tenant_id, since, datetime.now(UTC) + timedelta(days=1))
        finally:
            archive.close()

    async with asyncio.timeout(ARCHIVED_WITHIN):
        while await asyncio.to_thread(read) < count:
            await asyncio.sleep(2)


async def rebuild(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, fraud, ["rebuild", *arguments])


async def test_histories_come_back(gateway: Gateway, make_shop: Any, valkey: Redis) -> None:
    shop, neighbour = await make_shop(), await make_shop()
    now = datetime.now(UTC).replace(microsecond=0)
    old = payments_of(shop, now, ARCHIVED, "batch_import", 30)
    await send(gateway, shop, old)
    await send(gateway, neighbour, payments_of(neighbour, now, 20, "batch_import", 30))
    # The payments were imported before anybody heard of these.
    labels = [
        {"event_id": one["event_metadata"]["event_id"], "label": "chargeback", "occurred_at": now.isoformat()}
        for one in old[::10]
    ]
    await until_applied(valkey, shop, ARCHIVED, 0)
    answer = await gateway.client.post("/api/v2/ml/feedback/fraud", json={"labels": labels}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    theirs = await until_applied(valkey, neighbour, 20, 0)
    await until_archived(shop, now - timedelta(days=35), ARCHIVED)
    await send(gateway, shop, payments_of(shop, now, ON_THE_LOG, "web_app", 0.5))
    before = await until_applied(valkey, shop, ARCHIVED + ON_THE_LOG, len(labels))

    await valkey.delete(*await keys_of(valkey, shop))
    told = await rebuild("--tenant", shop.tenant_id, "--json")
    assert told.exit_code == 0, told.output
    done = json.loads(told.stdout)
    assert done["from_archive"] >= ARCHIVED
    assert done["from_archive"] + done["from_log"] == ARCHIVED + ON_THE_LOG
    assert done["labelled"] == len(labels)
    assert await histories(valkey, shop) == before
    again = await rebuild("--tenant", shop.tenant_id)
    assert again.exit_code == 0, again.output
    assert await histories(valkey, shop) == before

    # Everybody's at once; and only what is young enough.
    await valkey.delete(*await keys_of(valkey, shop), *await keys_of(valkey, neighbour))
    everybody = await rebuild("--json")
    assert everybody.exit_code == 0, everybody.output
    assert await histories(valkey, shop) == before
    assert await histories(valkey, neighbour) == theirs
    await valkey.delete(*await keys_of(valkey, shop))
    since = now - timedelta(days=10)
    recent = await rebuild("--tenant", shop.tenant_id, "--since", f"{since:%Y-%m-%dT%H:%M:%S}")
    assert recent.exit_code == 0, recent.output
    micro = since.timestamp() * 1_000_000
    young = {key: [row for row in rows if row.at >= micro] for key, rows in before.items()}
    assert await histories(valkey, shop) == {key: rows for key, rows in young.items() if rows}


async def test_what_cannot_be_read_is_said(shop: Any, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a shop without payments has nothing to put back."""
    nothing = await rebuild("--tenant", shop.tenant_id, "--json")
    assert nothing.exit_code == 0, nothing.output
    done = json.loads(nothing.stdout)
    assert (done["from_archive"], done["from_log"], done["tenants"]) == (0, 0, [shop.tenant_id])
    monkeypatch.setenv("WEIR_FRAUD_ARCHIVE_CATALOG_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    unread = await rebuild("--tenant", shop.tenant_id)
    assert unread.exit_code == 2
    assert "the archive cannot be read" in unread.output
