"""The books in memory, for tests and for recomputing: what `postgres_books` does, without rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from weir_common.ids import TenantId

from weir_analytics.domain.dashboard import CounterRow, Freshness, SketchRow
from weir_analytics.domain.event import moment
from weir_analytics.domain.facts import Microseconds, Purchase
from weir_analytics.domain.rollup import Cell
from weir_analytics.domain.sessions import Activity, DeviceSession
from weir_analytics.domain.sketches.codec import Sketch, decode_sketch
from weir_analytics.domain.window import Window
from weir_analytics.ports import Changes, DeviceHistory, Rollups


class MemoryTenantBooks:
    """Implements `TenantBooks` for one tenant."""

    def __init__(self) -> None:
        self.counters: defaultdict[Cell, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
        self.encoded_sketches: dict[Cell, bytes] = {}
        self.placed_orders: dict[str, Purchase] = {}
        self.device_sessions: dict[str, DeviceSession] = {}
        self.device_activities: defaultdict[str, list[Activity]] = defaultdict(list)
        self.events = 0
        self.newest_event: Microseconds | None = None
        self.newest_accepted_at: datetime | None = None

    async def orders(self, keys: Collection[str]) -> Mapping[str, Purchase]:
        return {key: self.placed_orders[key] for key in keys if key in self.placed_orders}

    async def last_sessions(self, devices: Collection[str]) -> Mapping[str, DeviceSession]:
        return {device: self.device_sessions[device] for device in devices if device in self.device_sessions}

    async def histories(self, devices: Collection[str], since: Microseconds | None) -> Mapping[str, DeviceHistory]:
        histories: dict[str, DeviceHistory] = {}
        for device in devices:
            every = self.device_activities[device]
            asked = [activity for activity in every if since is None or activity.at >= since]
            histories[device] = DeviceHistory(asked, complete=len(asked) == len(every))
        return histories

    async def sketches(self, cells: Collection[Cell]) -> Mapping[Cell, Sketch]:
        return {cell: decode_sketch(self.encoded_sketches[cell]) for cell in cells if cell in self.encoded_sketches}

    async def store(self, changes: Changes) -> None:
        for cell, (value, weight) in changes.counters.items():
            before = self.counters[cell]
            self.counters[cell] = (before[0] + value, before[1] + weight)
        self.encoded_sketches.update({cell: sketch.encode() for cell, sketch in changes.sketches.items()})
        self.placed_orders.update(changes.orders)
        self.device_sessions.update(changes.last_sessions)
        for device, activities in changes.activities.items():
            self.device_activities[device].extend(activities)
        if changes.newest_accepted_at is not None:
            self.events += changes.events
            self.newest_event = max(self.newest_event or changes.newest_event, changes.newest_event)
            known = self.newest_accepted_at or changes.newest_accepted_at
            self.newest_accepted_at = max(known, changes.newest_accepted_at)


class MemoryBooks:
    """Implements `Books` and `RollupReader`. There is no transaction: a caller that fails half-way throws the books away."""

    def __init__(self) -> None:
        self.tenants: defaultdict[TenantId, MemoryTenantBooks] = defaultdict(MemoryTenantBooks)

    async def lock(self, tenants: Iterable[TenantId]) -> None:
        """One event loop, no awaits inside: nobody else is there."""

    async def of(self, tenant_id: TenantId) -> MemoryTenantBooks:
        return self.tenants[tenant_id]

    async def read(self, tenant_id: TenantId, window: Window) -> Rollups:
        books = self.tenants[tenant_id]
        counters: list[CounterRow] = []
        sketches: list[SketchRow] = []
        for read in window.reads():
            for cell, (value, weight) in books.counters.items():
                if cell.step == read.step and read.start <= cell.bucket < read.end:
                    start = cell.bucket - cell.bucket % window.step
                    counters.append(CounterRow(cell.metric, cell.dimensions, start, value, weight))
            for cell, data in books.encoded_sketches.items():
                if cell.step == read.step and read.start <= cell.bucket < read.end:
                    start = cell.bucket - cell.bucket % window.step
                    sketches.append(SketchRow(cell.metric, cell.dimensions, start, decode_sketch(data)))
        freshness = Freshness(
            None if books.newest_event is None else moment(books.newest_event),
            books.newest_accepted_at,
            books.newest_accepted_at,
        )
        return Rollups(counters, sketches, freshness, datetime.now(UTC))
