# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-smoke``: 1,000 full-size events/s for 60 s through the gateway, open loop; every consumer must keep up.

Latency counts from the *intended* time of sending, so a stall shows in every request that it delays. What went in must come
out: purchases accepted equal orders on the dashboard. CPU is read from /proc for each process of the mesh.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import httpx
import msgspec
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.load_generator import Phase, PhaseReport, Plan, offer
from weir_bench.machine import slowness
from weir_bench.mesh_books import lag_seconds
from weir_bench.processes import cpu_seconds
from weir_bench.shown import show
from weir_bench.taken import MOST, NotTaken, processors_taken
from weir_bench.tenants import make_tenants

RATE = 1_000
SECONDS = 60
WARM_UP_SECONDS = (15, 15)
"""Before it counts: right after a start the broker's JVM still compiles what every event passes through. What is lost then is lost all the same.
The first part may be of fewer events (``--start-rate``), so that what queues up meanwhile is not measured with the rest."""
BATCH = 20
FRAUD_PER_SECOND = 20
FRAUD_BOUND_SECONDS = 0.05


async def _main(start_rate: int, taken: float) -> bool:
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    cpu_at: dict[str, dict[str, float]] = {}
    slow = [slowness()]
    reports: dict[str, PhaseReport] = {}
    async with Gateway.of(mesh) as gateway:
        tenant = (await make_tenants(gateway, 1))[0]
        plan = Plan(
            tenants=[tenant],
            phases=[
                Phase("start", WARM_UP_SECONDS[0], start_rate, FRAUD_PER_SECOND),
                Phase("warm-up", WARM_UP_SECONDS[1], RATE, FRAUD_PER_SECOND),
                Phase("measured", SECONDS, RATE, FRAUD_PER_SECOND),
            ],
            batch=BATCH,
        )
        print(
            f"{RATE} full-size events/s and {FRAUD_PER_SECOND} decisions/s for {SECONDS} s, "
            f"after {WARM_UP_SECONDS[0]} s of {start_rate} events/s and {WARM_UP_SECONDS[1]} s of {RATE} that do not count",
            flush=True,
        )

        def began(phase: str) -> None:
            cpu_at[phase] = cpu_seconds(mesh)

        with processors_taken(taken):
            async for report in offer(mesh, plan, mesh.state / "bench" / "load", began):
                reports[report.phase] = report
        cpu_at["end"] = cpu_seconds(mesh)
        lag, settled = await lag_seconds(mesh), await _drained(mesh)
        slow.append(slowness())
        purchases = sum(report.purchases.get(tenant.id, 0) for report in reports.values())
        orders = await _orders(gateway, tenant.id, tenant.key, purchases)
    load, warm_up = reports["measured"], reports["warm-up"]
    before = reports["start"].accepted + warm_up.accepted
    rate = load.accepted / load.seconds
    offered = start_rate * WARM_UP_SECONDS[0] + RATE * (WARM_UP_SECONDS[1] + SECONDS)
    lost = abs(purchases - orders) + offered - before - load.accepted
    p99 = load.decisions.p99
    used = {name: cpu_at["end"][name] - seconds for name, seconds in cpu_at["measured"].items()}
    cpu = {name: round(seconds / max(1, load.accepted) * 1e6, 1) for name, seconds in sorted(used.items())}
    measures = [
        Measure("accepted_rate", round(rate, 1), "events/s", f">= {RATE * 0.99:.0f}", rate >= RATE * 0.99, "accepted over the time of the load, through the gateway over TLS"),
        Measure("fraud_p99", p99, "s", f"<= {FRAUD_BOUND_SECONDS}", 0 < p99 <= FRAUD_BOUND_SECONDS and load.decisions.count == FRAUD_PER_SECOND * SECONDS, f"{load.decisions.count} decisions over the gateway, from the intended time of sending"),
        Measure("lag_at_end", lag, "s", "<= 1", lag <= 1, f"greatest lag of fraud, anomaly and analytics at the end; all empty {settled:.1f} s later"),
        Measure("events_lost", lost, "events", "== 0", lost == 0, "events not accepted, and purchases accepted that are not one order on the dashboard; the warm-up's too"),
        Measure("cpu_us_per_event", round(sum(cpu.values()), 1), "us", "reported", True, "CPU of every process of the mesh over accepted events; by process below"),
        Measure("batch_p99", load.batches.p99, "s", "reported", True, f"a batch of {BATCH}, from the intended time of sending"),
        Measure("machine_slowness", max(slow), "ratio", "reported", True, f"processor time of a fixed loop over a reference (`weir_bench.machine`), before and after: {slow[0]}, {slow[1]}"),
        Measure("processors_taken", taken, "ratio", "reported", True, "of each processor, by real-time processes that stand for a slow hour (`--taken`)"),
        Measure("warm_up_fraud_p99", warm_up.decisions.p99, "s", "reported", True, f"the {WARM_UP_SECONDS[1]} s before, which do not count above"),
    ]  # fmt: skip
    path = mesh.state / "bench" / "smoke.json"
    met = write(
        path,
        measures,
        environment(Path.cwd()),
        cpu_us_by_process=cpu,
        load=msgspec.to_builtins(load),
        start=msgspec.to_builtins(reports["start"]),
        warm_up=msgspec.to_builtins(warm_up),
    )
    show(measures)
    print("  CPU-us an event: " + ", ".join(f"{name} {value:g}" for name, value in cpu.items()))
    print(f"  {path}")
    return met


async def _drained(mesh: Mesh) -> float:
    """Seconds until every consumer stands at the end."""
    began = time.monotonic()
    async with asyncio.timeout(120):
        while await lag_seconds(mesh) > 0:  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(0.5)
    return time.monotonic() - began


async def _orders(gateway: Gateway, tenant: str, key: str, expected: int) -> int:
    orders = 0
    for _ in range(60):
        try:
            answer = await gateway.client.get(
                "/api/v2/analytics/realtime/dashboard", params={"tenant_id": tenant}, headers={"x-api-key": key}
            )
        except httpx.TransportError as error:
            # After an overload the pool may be full for a while: asked again, and lost events show if it stays so.
            print(f"  the dashboard did not answer: {error!r}", flush=True)
            await asyncio.sleep(0.5)
            continue
        orders = sum(int(figure["value"]) for figure in answer.json()["metrics"]["orders"]["figures"])
        if orders >= expected:
            break
        await asyncio.sleep(0.5)
    return orders


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(prog="make bench-smoke", description=__doc__)
    parser.add_argument(
        "--start-rate", type=int, default=RATE, help="events/s of the first 15 s, which do not count (default: all)"
    )
    parser.add_argument(
        "--taken",
        type=float,
        default=0.0,
        help=f"share of each processor that others take, 0 to {MOST:g}: a slow hour at will (as root; default: 0)",
    )
    args = parser.parse_args()
    if not 0 <= args.taken <= MOST:
        parser.error(f"--taken: a share between 0 and {MOST:g}")
    try:
        met = asyncio.run(_main(args.start_rate, args.taken))
    except NotTaken as error:
        parser.error(f"--taken: {error}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
