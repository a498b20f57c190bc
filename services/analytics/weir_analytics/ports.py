"""What analytics needs of the outside, and no more. Every fake and every adapter passes the same contract tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.ledger import MINUTE_LENGTH

from weir_analytics.domain.dashboard import CounterRow, Freshness, SketchRow
from weir_analytics.domain.event import moment
from weir_analytics.domain.facts import MICROSECONDS, Microseconds, Purchase
from weir_analytics.domain.rollup import Cell
from weir_analytics.domain.sessions import Activity, DeviceSession
from weir_analytics.domain.sketches.codec import Sketch
from weir_analytics.domain.window import Window


@dataclass(frozen=True, slots=True)
class DeviceHistory:
    """One device's activity since some time."""

    activities: Sequence[Activity]
    """In no particular order; an event that came twice is there twice."""
    complete: bool
    """Whether this is all of the device's activity."""


@dataclass(slots=True)
class Changes:
    """What one micro-batch changes for one tenant."""

    counters: Mapping[Cell, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """(value, weight) to add."""
    sketches: Mapping[Cell, Sketch] = field(default_factory=dict)
    """To replace what is stored; united with it already."""
    orders: Mapping[str, Purchase] = field(default_factory=dict)
    """First purchases by order, new or replaced."""
    activities: Mapping[str, Sequence[Activity]] = field(default_factory=dict)
    """By device, to be appended; in order."""
    last_sessions: Mapping[str, DeviceSession] = field(default_factory=dict)
    """Of each of these devices: its latest session with this activity."""
    events: int = 0
    newest_event: Microseconds = 0
    newest_accepted_at: datetime | None = None


class TenantBooks(Protocol):
    """Everything that analytics keeps of one tenant, inside the running transaction."""

    async def orders(self, keys: Collection[str]) -> Mapping[str, Purchase]:
        """The stored first purchases of these orders."""

    async def last_sessions(self, devices: Collection[str]) -> Mapping[str, DeviceSession]:
        """The latest session of each of these devices that has one."""

    async def histories(self, devices: Collection[str], since: Microseconds | None) -> Mapping[str, DeviceHistory]:
        """What these devices did since then, perhaps with some of what they did before; all of it for None."""

    async def sketches(self, cells: Collection[Cell]) -> Mapping[Cell, Sketch]:
        """The stored sketches of these cells."""

    async def store(self, changes: Changes) -> None:
        """Write it all; committed with the offsets or not at all."""


class Books(Protocol):
    """The books of all tenants, inside the running transaction of a micro-batch."""

    async def lock(self, tenants: Iterable[TenantId]) -> None:
        """Let no other transaction change these tenants' books until this one ends."""

    async def of(self, tenant_id: TenantId) -> TenantBooks:
        """Turn to one tenant; the books of the one before are closed."""


@dataclass(frozen=True, slots=True)
class Rollups:
    """What was read for a dashboard, all of one moment."""

    counters: Sequence[CounterRow]
    sketches: Sequence[SketchRow]
    freshness: Freshness
    as_of: datetime


class RollupReader(Protocol):
    """Reads rollups for a dashboard."""

    async def read(self, tenant_id: TenantId, window: Window) -> Rollups:
        """All rollups of the window, added up to the buckets of its series."""


class ArchivedRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the log as the archive keeps it."""

    tenant_id: TenantId
    event_id: str
    event_type: str | None
    event_subtype: str | None
    subject: str | None
    """The part of the record's key after the tenant: what one person's events have in common."""
    event_at: Microseconds | None
    """None where the payload has no readable time."""
    accepted_at: Microseconds
    schema_version: str | None
    partition: int
    offset: int
    payload: bytes
    """The record's value, JSON as it was accepted."""
    refused: str | None = None
    """The consents that its subject refused, as `weir_common.consent` writes them; None for none."""


MINUTE: Final = 60 * MICROSECONDS


def minute_text(at: Microseconds) -> str:
    """`2026-11-25T10:30`, UTC, as the ledger writes it."""
    return moment(at).isoformat()[:MINUTE_LENGTH]


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What the newest snapshot of the table holds."""

    next_offsets: Mapping[int, int]
    """By partition of the topic: the first offset that is not in the table."""
    accepted_until: Microseconds | None
    """Newest acceptance time in the table."""


class Archive(Protocol):
    """One table of the archive. Every call blocks, for up to seconds: call it in a thread, one call at a time.

    Records are written as they come and become visible, with the offsets behind them, in one commit. What a killed process had written
    without a commit is not part of the table.
    """

    def state(self) -> ArchiveState:
        """Read the newest snapshot."""

    def recent_ids(self, partitions: Collection[int], since: Microseconds) -> Iterable[tuple[str, str]]:
        """(tenant, event id) of the records of these partitions that were accepted since then."""

    def count(self, ranges: Mapping[int, tuple[int, int]], since: Microseconds) -> Mapping[tuple[TenantId, str], int]:
        """Committed records by tenant and minute of acceptance (`2026-11-25T10:30`): of these partitions, from the first offset to
        before the second, accepted since then."""

    def write(self, records: Sequence[ArchivedRecord]) -> None:
        """Add records to the files of the commit to come."""

    def commit(self, base: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
        """Make everything written since the last commit visible, and move the offsets from `base` to `next_offsets`.

        `ArchiveConflict` if another writer committed in between (call again; what was written is kept), `ArchiveFenced` if
        the table's offsets of our partitions are not `base` any more: somebody else owns them.
        """

    def abandon(self) -> None:
        """Forget what was written since the last commit."""


class ArchiveEntries(Protocol):
    """How far the ledger knows what one table of the archive holds. Calls raise RetryError when the store does not answer."""

    async def entered(self, partitions: Collection[int]) -> Mapping[int, int]:
        """By partition: the first offset that is not in the ledger yet; 0 where nothing ever was."""

    async def enter(self, ranges: Mapping[int, tuple[int, int]], records: Sequence[OutgoingRecord]) -> bool:
        """Move each partition from its first offset to its second and send the records: all of it or, where one does not stand at
        its first offset any more, nothing, and False."""


class ArchiveReader(Protocol):
    """Reads the archive. Calls block."""

    def payloads(self, table: str, tenant_id: TenantId) -> Iterable[bytes]:
        """Every record of a tenant, in no particular order."""


class SessionReader(Protocol):
    """Reads device sessions."""

    async def sessions(self, tenant_id: TenantId, devices: Collection[str]) -> Mapping[str, Sequence[DeviceSession]]:
        """Every session of each of these devices, in order."""
