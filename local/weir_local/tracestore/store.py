"""Spans in SQLite: one writer, bounded by number and age."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weir_local.tracestore.spans import Span

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS span (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    status TEXT NOT NULL,
    status_message TEXT NOT NULL,
    attributes TEXT NOT NULL,
    links TEXT NOT NULL,
    events TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS span_id ON span (trace_id, span_id);
CREATE INDEX IF NOT EXISTS span_service ON span (service, start_ns);
"""
COLUMNS = (
    *("trace_id", "span_id", "parent_id", "service", "name", "kind", "start_ns", "end_ns"),
    *("status", "status_message", "attributes", "links", "events"),
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM span"  # noqa: S608 - our own column names
PRUNE_EVERY = 5_000
"""Spans between two looks at the bounds."""


class SpanStore:
    """Thread-safe: one connection under a lock; every method blocks for milliseconds."""

    def __init__(self, file: Path, *, max_spans: int, max_age_seconds: float) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._max_spans = max_spans
        self._max_age_nanos = int(max_age_seconds * 1e9)
        self._lock = threading.Lock()
        self._since_prune = PRUNE_EVERY
        self._connection = sqlite3.connect(file, check_same_thread=False, timeout=5)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A trace may be lost when the machine loses power; nothing depends on it.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if self._connection.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
            # Traces are there to look at today's runs: those of another layout are not worth a migration.
            self._connection.executescript(f"DROP TABLE IF EXISTS span; PRAGMA user_version = {SCHEMA_VERSION};")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(self, spans: Sequence[Span]) -> None:
        """Store; a span that comes twice (a retried export) is kept once."""
        rows = [
            (
                *(span.trace_id, span.span_id, span.parent_id, span.service, span.name, span.kind),
                *(span.start_ns, span.end_ns, span.status, span.status_message),
                *(json.dumps(span.attributes), json.dumps(span.links), json.dumps(span.events)),
            )
            for span in spans
        ]
        marks = ", ".join("?" * len(COLUMNS))
        with self._lock, self._connection:
            self._connection.executemany(f"INSERT OR IGNORE INTO span VALUES ({marks})", rows)  # noqa: S608 - our own marks
            self._since_prune += len(rows)
            if self._since_prune >= PRUNE_EVERY:
                self._prune()
                self._since_prune = 0

    def trace(self, trace_id: str) -> list[Span]:
        """All spans of a trace in order of start; empty if it is not known."""
        with self._lock:
            rows = self._connection.execute(
                f"{SELECT} WHERE trace_id = ? ORDER BY start_ns, span_id", (trace_id,)
            ).fetchall()
        return [_span(row) for row in rows]

    def services(self) -> list[dict[str, Any]]:
        """Every service that sent a span: name, number of spans kept, start of the newest."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT service, count(*), max(start_ns) FROM span GROUP BY service ORDER BY service"
            ).fetchall()
        return [{"service": service, "spans": count, "newest_ns": newest} for service, count, newest in rows]

    def recent(self, service: str | None, limit: int) -> list[list[Span]]:
        """The newest traces (in which this service took part), newest first, whole."""
        where = "WHERE service = ?" if service is not None else ""
        parameters: tuple[Any, ...] = (service,) if service is not None else ()
        with self._lock:
            # By row, that is by arrival: the last spans that came belong to the newest traces.
            rows = self._connection.execute(
                f"SELECT trace_id, max(rowid) AS newest FROM (SELECT rowid, trace_id FROM span {where} "  # noqa: S608
                "ORDER BY rowid DESC LIMIT 20000) GROUP BY trace_id ORDER BY newest DESC LIMIT ?",
                (*parameters, limit),
            ).fetchall()
        return [self.trace(trace_id) for trace_id, _ in rows]

    def _prune(self) -> None:
        newest_row, newest_start = self._connection.execute("SELECT max(rowid), max(start_ns) FROM span").fetchone()
        if newest_row is None:
            return
        # Rows arrive in order of time and ids are never used again below the newest: both bounds cut off the front.
        self._connection.execute("DELETE FROM span WHERE rowid <= ?", (newest_row - self._max_spans,))
        horizon = newest_start - self._max_age_nanos
        while True:
            oldest = self._connection.execute("SELECT rowid, end_ns FROM span ORDER BY rowid LIMIT 1").fetchone()
            if oldest is None or oldest[1] >= horizon:
                return
            self._connection.execute(
                "DELETE FROM span WHERE rowid < ? AND end_ns < ?", (oldest[0] + PRUNE_EVERY, horizon)
            )


def _span(row: tuple[Any, ...]) -> Span:
    values = dict(zip(COLUMNS, row, strict=True))
    for column in ("attributes", "links", "events"):
        values[column] = json.loads(values[column])
    return Span(**values)
