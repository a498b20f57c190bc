"""What the mesh says it did with a bench's events: lag, ledger, log, archive."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from weir_analytics.adapters.iceberg_archive import open_catalogue
from weir_analytics.settings import AnalyticsSettings
from weir_common.archive import NAMESPACE
from weir_common.kafka.closing import close_client
from weir_common.kafka.topics import EVENT_PARTITIONS, EVENTS
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

CONSUMERS = ("fraud", "anomaly", "analytics")
_POLL_SECONDS = 0.5


async def lag_seconds(mesh: Mesh) -> float:
    """Greatest age of an event that one of the consumers has not applied, as they report it every two seconds."""
    async with httpx.AsyncClient(timeout=10) as client:
        pages = await asyncio.gather(
            *(client.get(f"http://127.0.0.1:{mesh.port(f'{service}-http')}/metrics") for service in CONSUMERS)
        )
    return max(greatest_lag(service, page.text) for service, page in zip(CONSUMERS, pages, strict=True))


def greatest_lag(service: str, page: str) -> float:
    """Of the partitions of the events, from a page of metrics. `LookupError` if the page has none: it is not taken for no lag."""
    lags = [
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith("weir_consumer_time_lag_seconds{") and f'"{EVENTS}"' in line
    ]
    if not lags:
        raise LookupError(f"{service} tells no weir_consumer_time_lag_seconds of {EVENTS}")
    return max(lags)


async def log_end(mesh: Mesh) -> int:
    """Records that were ever written to the events topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}", enable_auto_commit=False)
    async with asyncio.timeout(20):
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(EVENTS, number) for number in range(EVENT_PARTITIONS)])
        finally:
            await close_client(consumer.stop, client="bench")
    return sum(ends.values())


async def ledger_of(gateway: Gateway, tenant: str) -> dict[str, Any]:
    """The tenant's books of the last hour."""
    answer = await gateway.operator("GET", f"/api/v2/ops/ledger?tenant_id={tenant}&only_differences=true")
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


async def settled_ledgers(
    gateway: Gateway, tenants: Sequence[str], accepted: Mapping[str, int], seconds: float
) -> dict[str, dict[str, Any]]:
    """The books once every consumer has done what was accepted, or as they stand when the time is over."""
    deadline = time.monotonic() + seconds
    books: dict[str, dict[str, Any]] = {}
    while True:
        for tenant in tenants:
            if tenant not in books or not _done(books[tenant], accepted.get(tenant, 0)):
                books[tenant] = await ledger_of(gateway, tenant)
        if all(_done(books[tenant], accepted.get(tenant, 0)) for tenant in tenants) or time.monotonic() > deadline:
            return books
        await asyncio.sleep(_POLL_SECONDS)


def _done(book: Mapping[str, Any], accepted: int) -> bool:
    consumers = _consumers(book)
    places = {one["place"] for minute in book["minutes"] for one in minute["differences"]}
    return "behind" not in places and (
        accepted == 0 or all(one["applied"] + one["quarantined"] >= accepted for one in consumers)
    )


def lost(books: Mapping[str, Mapping[str, Any]], accepted: Mapping[str, int]) -> int:
    """Accepted events that a consumer has not dealt with, summed over tenants and consumers."""
    return sum(
        max(0, accepted.get(tenant, 0) - done["applied"] - done["quarantined"])
        for tenant, book in books.items()
        for done in _consumers(book)
    )


def _consumers(book: Mapping[str, Any]) -> list[Mapping[str, int]]:
    """What each did. Books in which nobody did anything are not books in which nothing is missing."""
    return list(book["consumers"].values()) or [{"applied": 0, "quarantined": 0}]


def imbalance(books: Mapping[str, Mapping[str, Any]]) -> int:
    """Events by which the books differ, harmless differences left out.

    What is told as repeated must be on the log unanswered, too: more of it than that would hide a loss.
    """
    return sum(_imbalance(book) for book in books.values())


def _imbalance(book: Mapping[str, Any]) -> int:
    places: Counter[str] = Counter()
    for minute in book["minutes"]:
        for one in minute["differences"]:
            places[one["place"]] += abs(one["events"])
    unexplained = max(0, places.pop("repeated", 0) - places.pop("unanswered", 0))
    del places["behind"]
    return unexplained + places.total()


async def archived(mesh: Mesh, tenants: Sequence[str], accepted: Mapping[str, int], seconds: float) -> int:
    """Rows of the tenants in the lake, waiting so long at most for the last commit."""
    os.environ.update(environment_of(mesh, "analytics"))
    lake = AnalyticsSettings().lake
    catalogue = await asyncio.to_thread(open_catalogue, lake.catalog_dsn.get_secret_value(), lake.warehouse_uri)
    deadline = time.monotonic() + seconds
    wanted = sum(accepted.get(tenant, 0) for tenant in tenants)
    try:
        while True:
            rows = await asyncio.to_thread(_rows, catalogue, tenants)
            if rows >= wanted or time.monotonic() > deadline:
                return rows
            await asyncio.sleep(2)
    finally:
        catalogue.engine.dispose()


def _rows(catalogue: Any, tenants: Sequence[str]) -> int:
    table = catalogue.load_table((NAMESPACE, "events"))
    return sum(int(table.scan(row_filter=f"tenant_id = '{tenant}'").count()) for tenant in tenants)
