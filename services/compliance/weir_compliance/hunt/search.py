"""Look through every store and note where which value stands."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import redis
import structlog
from aiokafka.errors import KafkaError
from temporalio.service import RPCError

from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.ports import Piece, Store, UnreadableError

log = structlog.get_logger(__name__)

MAX_EXAMPLES: Final = 3
"""Places noted for each value in each group; a busy store has it a thousand times."""

_UNREADABLE: Final = (
    UnreadableError,
    OSError,
    EOFError,
    ValueError,
    TimeoutError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    redis.RedisError,
    KafkaError,
    RPCError,
    RuntimeError,
)
"""What the stores' clients raise when a store does not answer, or with what cannot be decoded."""


@dataclass(slots=True)
class Sighting:
    """A value in one group of a store: how often, spelled how, and the first few places."""

    occurrences: int = 0
    spellings: set[str] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class StoreReport:
    """What was looked through. ``sightings`` by group and label; ``fault`` is set if the store could not be read to its end."""

    store: str
    bytes: int = 0
    units: int = 0
    seconds: float = 0.0
    fault: str | None = None
    sightings: dict[str, dict[str, Sighting]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def labels(self) -> set[str]:
        """Of all values that are in this store."""
        return {label for group in self.sightings.values() for label in group}


Watch = Callable[[StoreReport], None]


async def hunt(
    stores: Sequence[Store],
    matcher: Matcher,
    *,
    store_seconds: float,
    watch: Watch = lambda _: None,
) -> list[StoreReport]:
    """One after the other: each is bound by the disk or by this processor. ``store_seconds`` is the most that one may take."""
    return [await _look_through(store, matcher, store_seconds, watch) for store in stores]


async def _look_through(store: Store, matcher: Matcher, seconds: float, watch: Watch) -> StoreReport:
    report = StoreReport(store.name)
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            count = 0
            async for piece in store.pieces(matcher.longest):
                note(report, piece, matcher)
                count += 1
                if count % 256 == 0:
                    # Stores of local files never wait: without this the deadline could not end them.
                    await asyncio.sleep(0)
                    watch(report)
    except _UNREADABLE as error:
        text = str(error) or f"no end within {seconds:.0f} s" if isinstance(error, TimeoutError) else str(error)
        report.fault = matcher.masked(f"{type(error).__name__}: {text}"[:500])
    report.seconds = time.monotonic() - began
    watch(report)
    return report


def note(report: StoreReport, piece: Piece, matcher: Matcher) -> None:
    """Count a piece and write down what is in it."""
    report.bytes += len(piece.data) - piece.repeated
    report.units += piece.unit
    for match in matcher.matches(piece.data):
        if match.end <= piece.repeated:
            continue  # seen with the piece before
        group = report.sightings[matcher.masked(piece.where)]
        sighting = group.setdefault(match.planted.label, Sighting())
        sighting.occurrences += 1
        sighting.spellings.add(match.spelling)
        if len(sighting.examples) < MAX_EXAMPLES:
            sighting.examples.append(matcher.masked(piece.at))
