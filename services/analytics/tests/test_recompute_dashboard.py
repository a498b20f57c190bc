"""Promise 5: a number on a dashboard equals the number that a batch job computes from the archive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from weir_analytics.adapters.iceberg_archive import IcebergArchive, IcebergArchiveReader, open_catalogue, open_table
from weir_analytics.adapters.memory_books import MemoryBooks
from weir_analytics.apply_events import apply_to_tenant, decode
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.event import microseconds
from weir_analytics.ports import ArchivedRecord
from weir_analytics.read_dashboard import ReadDashboard
from weir_analytics.recompute_dashboard import RecomputeDashboard
from weir_common.ids import TenantId
from weir_common.kafka.records import Record
from weir_common.kafka.topics import DECISIONS, EVENTS

MakeEvent = Callable[..., dict[str, Any]]
TENANT = TenantId("t")
START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def stream(make_event: MakeEvent) -> list[tuple[str, bytes]]:
    """(table, value), with something that the consumer would put aside."""
    values: list[tuple[str, bytes]] = [("events", b'{"no":"event"}'), ("events", b"[]"), ("decisions", b"{}")]
    for n in range(60):
        at = START + timedelta(minutes=5 * n)
        who: dict[str, Any] = {"anonymous": f"A{n % 7}", "user": f"U{n % 5}" if n % 3 else None}
        event = make_event(at=at, paint=100.25 * (n + 1), **who)
        if n % 4 == 0:
            cart = {
                "cart_id": f"c{n // 8}",
                "cart_value": {"final_total": 10.10 + n, "subtotal": 9.99, "currency": "EUR"},
            }
            line = {"product_hierarchy": {"category_l1": f"k{n % 3}"}, "quantity": 1, "pricing": {"sale_price": 0.1}}
            transaction = {"cart_context": cart, "products": [line, line]}
            event = make_event(subtype="purchase", at=at, transaction=transaction, **who)
            decision = {
                "event_id": event["event_metadata"]["event_id"],
                "event_timestamp": at.isoformat(),
                "outcome": "decline" if n % 16 == 0 else "approve",
                "amount": f"{10.10 + n:.2f}",
                "currency": "EUR",
            }
            values.append(("decisions", msgspec.json.encode(decision)))
        values.append(("events", msgspec.json.encode(event)))
    return values


async def test_the_dashboard_equals_the_archive(tmp_path: Path, make_event: MakeEvent) -> None:
    lake = open_catalogue(f"sqlite:///{tmp_path}/catalogue.db", (tmp_path / "lake").as_uri())
    archives = {
        name: IcebergArchive(open_table(lake, name), kept_snapshots=timedelta(hours=1))
        for name in ("events", "decisions")
    }
    books, catalogue = MemoryBooks(), load_catalogue()
    counts = {"events": 0, "decisions": 0}
    for table, value in stream(make_event):
        offset = counts[table]
        counts[table] += 1
        archives[table].write(
            [
                ArchivedRecord(
                    TENANT, f"{table}{offset}", None, None, "s", None, microseconds(START), None, 0, offset, value
                )
            ]
        )
        if len(value) > 20:
            topic = EVENTS if table == "events" else DECISIONS
            headers = {"weir-tenant": b"t", "weir-event-id": f"{offset}".encode()}
            for part in decode([Record(topic, 0, offset, 0, b"", value, headers)]).values():
                await apply_to_tenant(catalogue, TENANT, part, await books.of(TENANT))
    for table, archive in archives.items():
        archive.commit({0: 0}, {0: counts[table]})

    recompute = RecomputeDashboard(IcebergArchiveReader(lake))
    for start, hours in ((START, 5), (START + timedelta(minutes=37), 2), (START + timedelta(hours=9), 1)):
        end = start + timedelta(hours=hours)
        dashboard = await ReadDashboard(catalogue, books)(TENANT, start, end)
        assert dashboard.figures == recompute(TENANT, start, end)
    assert recompute(TenantId("nobody"), START, end)["orders"] == {}
    lake.engine.dispose()
