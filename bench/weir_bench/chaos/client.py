"""A careful client: ids of its own, back-off with jitter, a subject's next event only after the one before was acknowledged.

Whatever it got a 2xx and ``accepted`` (or ``duplicate``: an earlier attempt had arrived) for is kept, and must be true for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
from weir_local.demo.api import Gateway

from weir_bench.chaos.traffic import Event, Line, event_id

REQUEST_SECONDS = 10.0
GIVE_UP_SECONDS = 240.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_KEPT = ("accepted", "duplicate")
_AGAIN = ("unavailable", "throttled", "not_taken")
_MAX_RUN = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was put into a request at least once: ``sequence`` counts its subject's events from 0."""

    subject: str
    sequence: int
    event: Event


@dataclass
class Diary:
    """What a shop's clients remember. Times are of ``time.monotonic``."""

    sent: dict[str, Sent] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    """Event id → the status of the answer that it was acknowledged by."""
    acknowledged_at: list[tuple[float, float]] = field(default_factory=list)
    """When a request began that was acknowledged, and when its answer came."""
    failures: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    """Answers that say that a good event or credential is bad: none is right."""
    gave_up: int = 0


@dataclass
class Sender:
    """One connection's worth of subjects of one shop, sent batch by batch."""

    gateway: Gateway
    key: str
    diary: Diary
    lines: Sequence[Line]
    pause_seconds: float
    chance: random.Random
    _next: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop``; what was begun is finished, so that only an outage of minutes leaves an event without a fate."""
        while not stop.is_set():
            batch = [event for line in self.lines for event in self._take(line)]
            if batch:
                await self._send(batch)
            await asyncio.sleep(self.pause_seconds * self.chance.uniform(0.5, 1.5))

    def _take(self, line: Line) -> Iterable[Event]:
        for _ in range(self.chance.randint(1, _MAX_RUN)):
            event = next(line.events, None)
            if event is None:
                return
            self.diary.sent[event_id(event)] = Sent(line.subject, self._next[line.subject], event)
            self._next[line.subject] += 1
            yield event

    async def _send(self, batch: list[Event]) -> None:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        left, pause = batch, _FIRST_PAUSE
        while left and time.monotonic() < deadline:
            left, advised = await self._attempt(left)
            if left:
                # Full jitter, so that the clients of an outage do not come back as one.
                await asyncio.sleep(max(advised, self.chance.uniform(0, pause)))
                pause = min(pause * 2, _LONGEST_PAUSE)
        self.diary.gave_up += len(left)

    async def _attempt(self, batch: list[Event]) -> tuple[list[Event], float]:
        """Gives what must be sent again, in order, and how many seconds the server asked to wait."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self.gateway.client.post(
                    "/api/v2/events/batch",
                    content=msgspec.json.encode({"events": batch}),
                    headers={"x-api-key": self.key, "content-type": "application/json"},
                )
        except (httpx.HTTPError, TimeoutError) as error:
            self.diary.failures[type(error).__name__] += 1
            return batch, 0.0
        advised = min(_seconds(answer.headers.get("retry-after", "")), _LONGEST_PAUSE)
        if answer.status_code not in (202, 207):
            self.diary.failures[str(answer.status_code)] += 1
            if answer.status_code not in (429, 500, 502, 503, 504):
                self.diary.refused.append(f"{answer.status_code} {answer.text[:200]}")
            return batch, advised
        self.diary.acknowledged_at.append((began, time.monotonic()))
        again: list[Event] = []
        for event, fate in zip(batch, answer.json()["results"], strict=True):
            if fate["status"] in _KEPT:
                self.diary.kept[event_id(event)] = fate["status"]
            elif fate["status"] in _AGAIN:
                self.diary.failures[fate["status"]] += 1
                again.append(event)
            else:
                self.diary.refused.append(f"{event_id(event)}: {fate}")
        return again, advised


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
