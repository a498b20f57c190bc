# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-ingest``: how fast the whole mesh takes full-size events, everything on, and that none is lost or counted twice.

A sweep finds the knee: the highest rate at which every event is answered, acknowledgements stay below 100 ms at p99 and the
consumers do not fall behind. Then five minutes at 80 % of it, with a probe that watches a shop's dashboard. Last the door alone,
the consumers held still. Open loop: latency counts from the intended time of sending.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, quantile, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_local.processes import Processes

from weir_bench.load_generator import LoadTenant, Phase, PhaseReport, Plan, offer
from weir_bench.machine import slowness
from weir_bench.mesh_books import archived, imbalance, lag_seconds, log_end, lost, settled_ledgers
from weir_bench.processes import cpu_seconds, resident_bytes
from weir_bench.shown import show
from weir_bench.tenants import make_tenants

TENANTS = 50
BATCH = 100
DECISIONS = 10
WARM_UP_RATE = 500
SWEEP = (
    250,
    500,
    750,
    1_000,
    1_250,
    1_500,
    2_000,
    2_500,
    3_000,
    4_000,
    5_000,
    6_000,
    8_000,
    10_000,
    12_500,
    15_000,
    20_000,
)
STEP_SECONDS = 20
STEADY_SECONDS = 300
STEADY_SHARE = 0.8
ACK_BOUND_SECONDS = 0.1
LAG_BOUND_SECONDS = 2.0
DRAIN_SECONDS = 300
PROBE_EVERY_SECONDS = 2.0
BUDGETS_US = {
    "gateway": 10,
    "ingest": 60,
    "kafka": 25,
    "fraud": 25,
    "anomaly": 35,
    "analytics": 30,
    "postgres": 10,
    "valkey": 5,
}
"""What the design allows each part, at 10,000 events a second on two cores."""


@dataclass
class Run:
    """What was offered in all, and what came back."""

    gateway: Gateway
    mesh: Mesh
    tenants: list[LoadTenant]
    accepted: Counter[str] = field(default_factory=Counter)
    repeats_accepted: int = 0
    unanswered: int = 0
    seed: int = field(default_factory=lambda: secrets.randbits(48))

    async def offer(
        self, name: str, rate: float, seconds: float, decisions: float = DECISIONS
    ) -> tuple[PhaseReport, dict[str, float]]:
        """One phase; gives what the generator saw and the CPU seconds of each process."""
        self.seed += 1
        plan = Plan(
            tenants=self.tenants,
            phases=[Phase(name, seconds, rate, decisions)],
            batch=BATCH,
            invalid_share=0.02,
            duplicate_share=0.01,
            seed=self.seed,
        )
        before: dict[str, float] = {}

        def began(_: str) -> None:
            before.update(cpu_seconds(self.mesh))

        reports = [report async for report in offer(self.mesh, plan, self.mesh.state / "bench" / "load", began)]
        after = cpu_seconds(self.mesh)
        report = reports[0]
        self.accepted.update(report.unique)
        self.repeats_accepted += report.accepted - sum(report.unique.values())
        self.unanswered += report.sent.get("unanswered", 0) + report.fates.get("unavailable", 0)
        return report, {name: after[name] - seconds for name, seconds in before.items() if name in after}


async def _main(steady_seconds: float, steps: Sequence[int]) -> bool:
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    slow = [slowness()]
    async with Gateway.of(mesh) as gateway:
        tenants = await make_tenants(gateway, TENANTS)
        shop = (await make_tenants(gateway, 1))[0]
        run = Run(gateway, mesh, tenants)
        before = await log_end(mesh)
        print(f"warming up: {WARM_UP_RATE} events/s for {STEP_SECONDS} s", flush=True)
        await run.offer("warm-up", WARM_UP_RATE, STEP_SECONDS)
        await _drained(mesh)

        knee, keeps_up, sweep = 0.0, 0.0, list[dict[str, Any]]()
        for rate in steps:
            step = await _step(run, rate)
            sweep.append(step)
            if not step["keeps_up"]:
                break
            keeps_up = rate
            if all(one["sustained"] for one in sweep):
                knee = rate
        await _drained(mesh)

        # Where even one batch alone takes longer than an ack may, the mesh is shown at length below the rate that it keeps up with.
        steady = (knee or keeps_up or steps[0]) * STEADY_SHARE
        print(f"steady: {steady:g} events/s for {steady_seconds:g} s", flush=True)
        memory = resident_bytes(mesh)
        probe_stop = asyncio.Event()
        probe = asyncio.create_task(_watch_dashboard(gateway, shop, probe_stop))
        report, used = await run.offer("steady", steady, steady_seconds)
        steady_lag = await lag_seconds(mesh)
        probe_stop.set()
        visible = await probe
        growth = {
            name: round((size - memory[name]) / steady_seconds * 3_600 / 1e6, 1)
            for name, size in resident_bytes(mesh).items()
            if name in memory
        }
        await _drained(mesh)
        slow.append(slowness())

        print("the door alone: fraud, anomaly and analytics are held still", flush=True)
        alone = await _door_alone(run, steps)
        drained = await _drained(mesh)
        names = [tenant.id for tenant in tenants]
        books = await settled_ledgers(gateway, names, run.accepted, DRAIN_SECONDS)
        in_lake = await archived(mesh, names, run.accepted, 60)
        # The probe's own events are the shop's.
        on_log = await log_end(mesh) - before - len(visible)

    accepted = run.accepted.total()
    lost_events = lost(books, run.accepted) + max(0, accepted - on_log) + max(0, accepted - in_lake)
    count = max(1, sum(report.fates.values()))
    cpu = {name: round(seconds / count * 1e6, 1) for name, seconds in sorted(used.items())}
    visible_p99 = quantile(visible, 0.99)
    measures = [
        Measure("mesh_rate", knee, "events/s", ">= 10000", knee >= 10_000, f"highest step at which all is answered, ack p99 < {ACK_BOUND_SECONDS} s and lag < {LAG_BOUND_SECONDS} s"),
        Measure("keeps_up_rate", keeps_up, "events/s", "reported", True, f"the same without the bound of the acks: batches of {BATCH} events, {BATCH * 7} KB each"),
        Measure("steady_rate", round(report.accepted / report.seconds, 1), "events/s", "reported", True, f"accepted over {report.seconds:g} s at {STEADY_SHARE:.0%} of {knee or keeps_up:g}"),
        Measure("ack_p99", report.batches.p99, "s", "<= 0.1", 0 < report.batches.p99 <= ACK_BOUND_SECONDS, f"a batch of {BATCH} from its intended sending, at the steady rate"),
        Measure("lag_at_end", steady_lag, "s", f"<= {LAG_BOUND_SECONDS:g}", steady_lag <= LAG_BOUND_SECONDS, "greatest lag of fraud, anomaly and analytics at the end of the steady run"),
        Measure("ingest_only_rate", alone, "events/s", ">= 20000", alone >= 20_000, "highest step of the door alone: gateway, ingest, log, receipts; consumers held still"),
        Measure("visible_p99", visible_p99, "s", "<= 1", visible_p99 is not None and visible_p99 <= 1, f"from the sending of a purchase until the dashboard counts it, {len(visible)} times at the steady rate"),
        Measure("events_lost", lost_events, "events", "== 0", lost_events == 0, f"{accepted} accepted; {on_log} on the log ({run.repeats_accepted} repeats and up to {run.unanswered} unanswered among them), {in_lake} in the lake, applied by each consumer by the ledger"),
        Measure("ledger_imbalance", imbalance(books), "events", "== 0", imbalance(books) == 0, "differences in the books of all tenants that are not harmless"),
        Measure("cpu_us_per_event", round(sum(cpu.values()), 1), "us", "<= 200", sum(cpu.values()) <= 200, "CPU of every process of the mesh over the events of the steady run; by process below"),
        Measure("fraud_p99", report.decisions.p99, "s", "<= 0.05", 0 < report.decisions.p99 <= 0.05, f"{DECISIONS} decisions/s during the steady run"),
        Measure("machine_slowness", max(slow), "ratio", "reported", True, f"processor time of a fixed loop over a reference (`weir_bench.machine`), before the sweep and after the steady run: {slow[0]}, {slow[1]}"),
        Measure("drained_after", drained, "s", "reported", True, "from the end of the door's own run until no consumer has a lag"),
    ]  # fmt: skip
    path = mesh.state / "bench" / "ingest.json"
    met = write(
        path,
        measures,
        environment(Path.cwd()),
        sweep=sweep,
        cpu_us_by_process=cpu,
        budgets_us=BUDGETS_US,
        memory_growth_mb_per_hour=growth,
        steady=msgspec.to_builtins(report),
    )
    show(measures)
    print("  CPU-us an event   " + " ".join(f"{name:>10}" for name in BUDGETS_US))
    print("    measured        " + " ".join(f"{cpu.get(name, 0.0):>10g}" for name in BUDGETS_US))
    print("    budget          " + " ".join(f"{budget:>10}" for budget in BUDGETS_US.values()))
    print("  memory, MB an hour: " + ", ".join(f"{name} {value:+g}" for name, value in sorted(growth.items())))
    print(f"  {path}")
    return met


async def _step(run: Run, rate: float) -> dict[str, Any]:
    report, used = await run.offer(f"{rate:g}", rate, STEP_SECONDS)
    lag = await lag_seconds(run.mesh)
    answered = sum(report.fates.values())
    keeps_up = not report.errors and report.fates.get("unavailable", 0) == 0 and lag < LAG_BOUND_SECONDS
    sustained = keeps_up and report.batches.p99 < ACK_BOUND_SECONDS
    total = round(sum(used.values()) / max(1, answered) * 1e6)
    print(
        f"  {rate:>6g}/s  ack p50 {report.batches.p50 * 1e3:6.1f} ms  p99 {report.batches.p99 * 1e3:7.1f} ms  lag {lag:4.1f} s  CPU {total:5} us an event  {'sustained' if sustained else 'keeps up, acks too slow' if keeps_up else 'not sustained'}",
        flush=True,
    )
    return {"rate": rate, "sustained": sustained, "keeps_up": keeps_up, "lag": lag, "cpu_us_per_event": total, "batches": msgspec.to_builtins(report.batches), "fates": report.fates, "errors": report.errors}  # fmt: skip


async def _door_alone(run: Run, steps: Sequence[int]) -> float:
    best = 0.0
    with _held_still(run.mesh, ("fraud", "anomaly", "analytics")):
        for rate in steps:
            report, _ = await run.offer(f"alone {rate}", rate, STEP_SECONDS / 2, decisions=0)
            good = (
                not report.errors and report.fates.get("unavailable", 0) == 0 and report.batches.p99 < ACK_BOUND_SECONDS
            )
            print(
                f"  {rate:>6g}/s  ack p50 {report.batches.p50 * 1e3:6.1f} ms  p99 {report.batches.p99 * 1e3:7.1f} ms  {'sustained' if good else 'not sustained'}",
                flush=True,
            )
            if not good:
                break
            best = rate
    return best


@contextlib.contextmanager
def _held_still(mesh: Mesh, services: Sequence[str]) -> Iterator[None]:
    processes = Processes(mesh.state)
    pids = [running.identity.pid for service in services if (running := processes.alive(service)) is not None]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _drained(mesh: Mesh) -> float:
    """Seconds until no consumer has a lag, twice in a row."""
    began, quiet = time.monotonic(), 0
    while quiet < 2 and time.monotonic() - began < DRAIN_SECONDS:
        await asyncio.sleep(2.2)  # they report every two seconds
        quiet = quiet + 1 if await lag_seconds(mesh) == 0 else 0
    return round(time.monotonic() - began, 1)


async def _watch_dashboard(gateway: Gateway, shop: LoadTenant, stop: asyncio.Event) -> list[float]:
    """Seconds from sending a purchase until the shop's dashboard counts it."""
    seconds: list[float] = []
    while not stop.is_set():
        event = attacks.payment(shop.id, str(uuid.uuid4()), datetime.now(UTC))
        started = time.monotonic()
        await gateway.send_batch(shop.key, [event])
        while time.monotonic() - started < 30 and await _orders(gateway, shop) <= len(seconds):  # noqa: ASYNC110 - asking is the measurement
            await asyncio.sleep(0.02)
        seconds.append(time.monotonic() - started)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROBE_EVERY_SECONDS):
                await stop.wait()
    return seconds


async def _orders(gateway: Gateway, shop: LoadTenant) -> int:
    answer = await gateway.client.get("/api/v2/analytics/realtime/dashboard", headers={"x-api-key": shop.key})
    if answer.status_code != 200:
        return 0
    return sum(int(figure["value"]) for figure in answer.json()["metrics"]["orders"]["figures"])


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=STEADY_SECONDS, help="of the steady run")
    parser.add_argument(
        "--rates",
        type=lambda text: tuple(int(rate) for rate in text.split(",")),
        default=SWEEP,
        help="steps of the sweep, events/s",
    )
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(_main(given.seconds, given.rates)) else 1)


if __name__ == "__main__":
    main()
