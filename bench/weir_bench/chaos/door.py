"""Ingest with the log away: it must say 503 within its deadline, say when to come back, and not grow without bound."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import msgspec
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

from weir_bench.chaos.servers import family, identity_of, signal_all
from weir_bench.chaos.traffic import person
from weir_bench.load_generator import LoadTenant
from weir_bench.processes import resident_bytes

AWAY_SECONDS = 25.0
SENDERS = 40
BATCH = 50
PADDING = 6_000
"""Characters, so that an event is as large as a full-size one (7 KB)."""
ANSWER_BOUND_SECONDS = 12.0
"""Ingest's own deadline of 5 s, and as much again for a machine that is shared."""
MEMORY_BOUND_BYTES = 512 * 1_048_576
_REQUEST_SECONDS = 30.0
_WATCH_SECONDS = 0.25


@dataclass
class DoorReport:
    """Answers by status, the slowest of them, and how much ingest grew (bytes)."""

    answers: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    without_retry_after: int = 0
    grown_bytes: int = 0
    offered_bytes: int = 0


async def hold_the_log(mesh: Mesh, gateway: Gateway, tenant: LoadTenant) -> DoorReport:
    """Kafka held still, as many requests as the senders can make."""
    report = DoorReport()
    before = peak = resident_bytes(mesh)["ingest"]
    held = family(identity_of(mesh, "kafka"))
    signal_all(held, signal.SIGSTOP)
    deadline = time.monotonic() + AWAY_SECONDS
    try:
        senders = [asyncio.create_task(_send(gateway, tenant, number, deadline, report)) for number in range(SENDERS)]
        while time.monotonic() < deadline:
            peak = max(peak, resident_bytes(mesh)["ingest"])
            await asyncio.sleep(_WATCH_SECONDS)
        await asyncio.gather(*senders)
        peak = max(peak, resident_bytes(mesh)["ingest"])
    finally:
        signal_all(held, signal.SIGCONT)
    report.grown_bytes = peak - before
    return report


async def _send(gateway: Gateway, tenant: LoadTenant, number: int, deadline: float, report: DoorReport) -> None:
    line = person(f"door/{number}", tenant.id, number)
    while time.monotonic() < deadline:
        batch = [next(line.events) for _ in range(BATCH)]
        for event in batch:
            event["event_data"]["business_context"]["chaos_padding"] = "x" * PADDING
        body = msgspec.json.encode({"events": batch})
        report.offered_bytes += len(body)
        began = time.monotonic()
        try:
            answer = await gateway.client.post(
                "/api/v2/events/batch",
                content=body,
                headers={"x-api-key": tenant.key, "content-type": "application/json"},
                timeout=_REQUEST_SECONDS,
            )
        except httpx.HTTPError as error:
            report.answers[type(error).__name__] += 1
        else:
            report.answers[str(answer.status_code)] += 1
            if answer.status_code in (429, 503) and not answer.headers.get("retry-after", "").isdigit():
                report.without_retry_after += 1
        report.slowest_seconds = max(report.slowest_seconds, time.monotonic() - began)
