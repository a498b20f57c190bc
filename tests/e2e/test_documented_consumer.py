"""The consumer that docs/consumers.md shows, run as it stands there: repeats, a kill in the middle, and every view counted once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from weir_common.ids import TenantId
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_common.postgres import postgres_pool, tenant_transaction
from weir_fraud.settings import FraudSettings
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "consumers.md"
SCHEMA = "fraud"
"""A schema that is there; the page's own would need a role of its own."""
VIEWS = 400


def blocks(language: str, table: str) -> str:
    """The page's code of a language, on a table of this test's own."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return (
        "\n".join(found)
        .replace("example.page_views", f"{SCHEMA}.{table}")
        .replace('schema="example"', f'schema="{SCHEMA}"')
    )


@pytest.fixture
def settings(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> FraudSettings:
    for name, value in environment_of(mesh, "fraud").items():
        monkeypatch.setenv(name, value)
    return FraudSettings()  # type: ignore[call-arg]


@pytest.fixture
async def table(settings: FraudSettings) -> AsyncIterator[str]:
    name = f"page_views_{secrets.token_hex(4)}"
    owner = await asyncpg.connect(settings.postgres.owner_dsn.get_secret_value())
    try:
        await owner.execute(blocks("sql", name))
        yield name
        await owner.execute(f"DROP TABLE {SCHEMA}.{name}")
    finally:
        await owner.close()


async def test_every_view_is_counted_once_through_repeats_and_a_kill(settings: FraudSettings, table: str) -> None:
    code: dict[str, Any] = {}
    exec(compile(blocks("python", table), str(PAGE), "exec"), code)
    # The handler is looked at by itself: nobody should need more than a screen.
    handler = blocks("python", table).split("def page_view_consumer")[0]
    assert len([line for line in handler.splitlines() if line.strip()]) <= 30

    topic, tenants = f"test.consumer.{secrets.token_hex(6)}", [f"doc-{secrets.token_hex(3)}" for _ in range(3)]
    await ensure_topics(settings.kafka, (TopicSpec(topic, 2, retention_days=0.1),))
    async with (
        kafka_publisher(settings.kafka, "documented-consumer") as publisher,
        postgres_pool(settings.postgres, "documented-consumer") as pool,
    ):
        records = [
            OutgoingRecord(
                topic,
                key=b"someone",
                value=b"{}",
                partition=number % 2,
                headers={
                    "weir-tenant": tenants[number % 3].encode(),
                    "weir-event-id": f"{topic}-{number}".encode(),
                    "weir-event-subtype": b"page_view" if number % 4 else b"purchase",
                    "weir-accepted-at": datetime(2026, 11, 25, 10, number % 60, tzinfo=UTC).isoformat().encode(),
                },
            )
            for number in range(VIEWS)
        ]

        def consumer() -> Any:
            return code["page_view_consumer"](pool, settings.kafka, publisher, [topic])

        await publisher.publish_all([*records, *records[:100]])
        first = asyncio.create_task(consumer().run(asyncio.Event()))
        async with asyncio.timeout(30):
            while await total(pool, table, tenants) == 0:
                await asyncio.sleep(0.01)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        await publisher.publish_all(records)

        stop = asyncio.Event()
        second = asyncio.create_task(consumer().run(stop))
        expected = sum(1 for number in range(VIEWS) if number % 4)
        async with asyncio.timeout(60):
            while await total(pool, table, tenants) < expected or not await at_the_end(
                pool, topic, len(records) * 2 + 100
            ):
                await asyncio.sleep(0.1)
        stop.set()
        await asyncio.wait_for(second, 20)
        assert await total(pool, table, tenants) == expected


async def total(pool: asyncpg.Pool, table: str, tenants: list[str]) -> int:
    """Views of all tenants, each seen as itself."""
    views = 0
    for tenant in tenants:
        async with tenant_transaction(pool, TenantId(tenant), readonly=True) as connection:
            views += await connection.fetchval(f"SELECT coalesce(sum(views), 0)::bigint FROM {SCHEMA}.{table} WHERE tenant_id = $1", tenant)  # fmt: skip
    return views


async def at_the_end(pool: asyncpg.Pool, topic: str, records: int) -> bool:
    """Whether the stored offsets of both partitions stand behind the last record."""
    moved = await pool.fetchval(f"SELECT coalesce(sum(next_offset), 0)::bigint FROM {SCHEMA}.consumer_offset WHERE topic = $1", topic)  # fmt: skip
    return bool(moved == records)
