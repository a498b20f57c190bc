"""From the log to the answer over HTTP, on real servers."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from fastapi import FastAPI
from weir_analytics.adapters.postgres_books import PostgresBooks
from weir_analytics.adapters.postgres_rollups import PostgresRollups
from weir_analytics.apply_events import ApplyEvents
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.recompute import recompute
from weir_analytics.entrypoints.http import analytics_router
from weir_analytics.read_dashboard import ReadDashboard
from weir_analytics.settings import AnalyticsSettings
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, Principal, Role
from weir_common.http import create_app
from weir_common.ids import EventId, TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.readiness import Readiness

pytestmark = pytest.mark.integration
CATALOGUE = load_catalogue()
MakeTopic = Callable[..., Awaitable[str]]
MakeEvent = Callable[..., dict[str, Any]]


class OneCaller(Authenticator):
    """Everybody is the analyst of one tenant."""

    def __init__(self, tenant_id: TenantId) -> None:
        self._tenant_id = tenant_id

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        return Principal(self._tenant_id, "key:test", "machine", frozenset({Role.ANALYST}))


@dataclass
class Live:
    events: str
    decisions: str
    client: httpx.AsyncClient
    publisher: KafkaPublisher
    pool: asyncpg.Pool
    tenant: TenantId
    start_consumer: Callable[[], Any]

    async def publish(self, topic: str, *values: dict[str, Any], partition: int | None = None) -> None:
        """As ingest does: accepted now, keyed by the subject, which decides the partition."""
        records = []
        for value in values:
            event_id = value.get("event_id") or value["event_metadata"]["event_id"]
            headers = event_headers(
                self.tenant, EventId(event_id), **{"weir-accepted-at": datetime.now(UTC).isoformat()}
            )
            subject = str(value.get("event_data", {}).get("user_context", {}).get("anonymous_id") or event_id)
            key = f"{self.tenant}\0{subject}".encode()
            records.append(OutgoingRecord(topic, key, msgspec.json.encode(value), headers, partition=partition))
        await self.publisher.publish_all(records)

    async def dashboard(self, **parameters: str) -> dict[str, Any]:
        answer = await self.client.get("/api/v2/analytics/realtime/dashboard", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def live(
    settings: AnalyticsSettings,
    pool: asyncpg.Pool,
    publisher: KafkaPublisher,
    make_topic: MakeTopic,
    tenant: TenantId,
) -> AsyncIterator[Live]:
    events, decisions = await make_topic(4), await make_topic(2)
    name = f"test-{uuid.uuid4().hex[:12]}"

    @asynccontextmanager
    async def running() -> AsyncIterator[Consumer]:
        consumer = Consumer(
            service="analytics",
            name=name,
            topics=[events, decisions],
            handler=ApplyEvents(CATALOGUE, PostgresBooks, decisions_topic=decisions),
            pool=pool,
            schema="analytics",
            kafka=settings.kafka,
            publisher=publisher,
            max_records=settings.consumer.max_records,
            max_wait_seconds=settings.consumer.max_wait_seconds,
            fetch_min_bytes=settings.consumer.fetch_min_bytes,
            group=f"test.analytics.{name}",
        )
        stop = asyncio.Event()
        task = asyncio.create_task(consumer.run(stop))
        try:
            yield consumer
        finally:
            stop.set()
            await task

    app: FastAPI = create_app(
        service="analytics",
        title="t",
        description="d",
        readiness=Readiness(),
        authenticator=OneCaller(tenant),
        audit=AuditTrail(publisher, "analytics"),
    )
    app.include_router(analytics_router(ReadDashboard(CATALOGUE, PostgresRollups(pool, CATALOGUE)), CATALOGUE))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://analytics") as client:
        yield Live(events, decisions, client, publisher, pool, tenant, running)
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM analytics.consumer_offset WHERE consumer = $1", name)
        await connection.execute("DELETE FROM analytics.applied_window WHERE consumer = $1", name)


def orders_of(dashboard: dict[str, Any]) -> int:
    return sum(figure["count"] for figure in dashboard["metrics"]["orders"]["figures"])


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


async def test_an_accepted_event_is_on_the_dashboard_within_a_second(live: Live, make_event: MakeEvent) -> None:
    def purchase(n: int) -> dict[str, Any]:
        cart = {"cart_id": f"c{n}", "cart_value": {"final_total": 12.5, "subtotal": 12, "currency": "USD"}}
        return make_event(
            subtype="purchase",
            at=datetime.now(UTC),
            tenant=live.tenant,
            anonymous=f"A{n}",
            transaction={"products": [], "cart_context": cart},
        )

    async def seen(n: int) -> bool:
        return orders_of(await live.dashboard()) == n

    async with live.start_consumer():
        await live.publish(live.events, purchase(0))
        await until(lambda: seen(1))
        delays = []
        for n in range(1, 21):
            await live.publish(live.events, purchase(n))
            acknowledged = time.perf_counter()
            await until(lambda n=n: seen(n + 1))  # type: ignore[misc]
            delays.append(time.perf_counter() - acknowledged)
    delays.sort()
    print(f"visible after {delays[10]:.3f} s (median), {delays[-1]:.3f} s (slowest of 20)")
    assert delays[-1] < 1.0

    dashboard = await live.dashboard()
    (sales,) = dashboard["metrics"]["total_sales"]["figures"]
    assert (sales["currency"], Decimal(sales["value"]), sales["count"]) == ("USD", Decimal("262.50"), 21)
    assert dashboard["freshness"]["applied_after_seconds"] < 1.0


async def test_all_ten_metrics_equal_the_recomputation_and_repeats_change_nothing(
    live: Live, make_event: MakeEvent
) -> None:
    start = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)
    events = []
    for shopper in range(30):
        at = start + timedelta(minutes=7 * shopper)
        who = {"anonymous": f"A{shopper % 11}", "client_session": f"s{shopper}", "tenant": live.tenant}
        events += [
            make_event(at=at + timedelta(minutes=k), paint=400.0 + 37 * k + shopper, sequence=k, **who)
            for k in range(3)
        ]
        if shopper % 2:
            cart = {
                "cart_id": f"c{shopper // 3}",
                "cart_value": {"subtotal": 20 + shopper, "final_total": 22.22 + shopper, "currency": "USD"},
                "payment_context": {
                    "shipping_context": {"shipping_address": {"country": "US" if shopper % 3 else "DE"}}
                },
            }
            products = [
                {
                    "product_hierarchy": {"category_l1": f"category {shopper % 4}"},
                    "pricing": {"sale_price": 10.01, "currency": "USD"},
                    "quantity": 2,
                }
            ]
            transaction = {"products": products, "cart_context": cart}
            events.append(
                make_event(subtype="purchase", at=at + timedelta(minutes=5), transaction=transaction, user="U", **who)
            )
    decisions = [
        {
            "event_id": f"d{n}",
            "event_timestamp": (start + timedelta(minutes=n)).isoformat(),
            "outcome": "decline" if n % 5 == 0 else "approve",
            "amount": 10.5,
            "currency": "USD",
        }
        for n in range(20)
    ]
    end = start + timedelta(hours=5)
    parsed = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
    expected = recompute(
        parsed.decode(msgspec.json.encode(events)), parsed.decode(msgspec.json.encode(decisions)), start, end
    )

    async def figures() -> bool:
        dashboard = await live.dashboard(**{"from": start.isoformat(), "to": end.isoformat()})
        return (
            dashboard["metrics"]["page_load_p95"]["figures"][0]["count"] == 90
            and dashboard["metrics"]["fraud_rate"]["figures"][-1]["denominator"] == "20"
        )

    async def markers_applied() -> bool:
        after = {"from": (end + timedelta(days=1)).isoformat(), "to": (end + timedelta(days=1, minutes=1)).isoformat()}
        return (await live.dashboard(**after))["metrics"]["page_load_p95"]["figures"][0]["count"] == 4

    async with live.start_consumer():
        await live.publish(live.events, *events[::-1])
        await live.publish(live.events, *events[:40])  # sent again: the window drops them
        await live.publish(live.decisions, *decisions, *decisions)
        await until(figures)
    async with live.start_consumer():  # another process: the window comes from the store
        await live.publish(live.events, *events[30:])
        # When the last record of each partition is applied, all before it are.
        markers = [make_event(at=end + timedelta(days=1), tenant=live.tenant, paint=1.0) for _ in range(4)]
        for partition, marker in enumerate(markers):
            await live.publish(live.events, marker, partition=partition)
        await until(markers_applied)
    dashboard = await ReadDashboard(CATALOGUE, PostgresRollups(live.pool, CATALOGUE))(live.tenant, start, end)
    assert dashboard.figures == expected
