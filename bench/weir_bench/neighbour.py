# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-neighbour``: what a tenant that sends 50 times as much does to the latency of a quiet one.

Both have the same plan. The loud one's quota lets a part of its events in, the rest is throttled; the quiet one stays within its own. Rounds
with and without the loud one take turns, so that a machine that is slow for a while is slow for both, and the median of the rounds' ratios
counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from pathlib import Path
from typing import Final

from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.load_generator import LoadTenant, Phase, PhaseReport, Plan, offer
from weir_bench.machine import slowness
from weir_bench.shown import show
from weir_bench.tenants import make_tenants

QUIET_RATE: Final = 40.0
TIMES: Final = 50
QUIET_BATCH: Final = 2
LOUD_BATCH: Final = 20
SECONDS: Final = 20.0
ROUNDS: Final = 5
BOUND: Final = 1.10
QUOTA: Final = 100.0
"""Events a second of either."""


async def _main(rounds: int, seconds: float) -> bool:
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    slow = [slowness()]
    alone: list[PhaseReport] = []
    beside: list[PhaseReport] = []
    loud: list[PhaseReport] = []
    async with Gateway.of(mesh) as gateway:
        quiet_one, loud_one = await make_tenants(gateway, 2, quota_events_per_second=QUOTA)
        await _send(mesh, "warm-up", quiet_one, QUIET_RATE, QUIET_BATCH, seconds, 0)
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}: alone, then beside {TIMES} times as much", flush=True)
            alone.append(await _send(mesh, "alone", quiet_one, QUIET_RATE, QUIET_BATCH, seconds, number))
            rate = QUIET_RATE * TIMES
            together = await asyncio.gather(
                _send(mesh, "quiet", quiet_one, QUIET_RATE, QUIET_BATCH, seconds, number + 1_000),
                _send(mesh, "loud", loud_one, rate, LOUD_BATCH, seconds, number + 2_000),
            )
            beside.append(together[0])
            loud.append(together[1])
    slow.append(slowness())
    ratios = [with_it.batches.p99 / without.batches.p99 for with_it, without in zip(beside, alone, strict=True)]
    medians = [with_it.batches.p50 / without.batches.p50 for with_it, without in zip(beside, alone, strict=True)]
    # Its saved quota is used up by then.
    later = [
        with_it.each_ten_seconds[-1].p99 / without.each_ten_seconds[-1].p99
        for with_it, without in zip(beside, alone, strict=True)
    ]
    asked = round(QUIET_RATE * seconds)
    refused = sum(asked - report.accepted for report in (*alone, *beside))
    let_in = sum(report.accepted for report in loud) / (rounds * seconds)
    sent = sum(sum(report.sent.values()) for report in loud) / (rounds * seconds)
    ratio = statistics.median(ratios)
    measures = [
        Measure("quiet_p99_ratio", round(ratio, 3), "ratio", f"<= {BOUND}", ratio <= BOUND, f"p99 of the quiet tenant beside the loud one over alone, median of {rounds} rounds: {', '.join(f'{one:.2f}' for one in sorted(ratios))}"),
        Measure("quiet_p99_ratio_later", round(statistics.median(later), 3), "ratio", "reported", True, f"the same of the last ten seconds of each round, when the loud one has used up what it had saved: {', '.join(f'{one:.2f}' for one in sorted(later))}"),
        Measure("quiet_p50_ratio", round(statistics.median(medians), 3), "ratio", "reported", True, "the same of its median"),
        Measure("quiet_p99_alone", statistics.median(report.batches.p99 for report in alone), "s", "reported", True, f"batches of {QUIET_BATCH}, {QUIET_RATE:g} events/s, from the intended time of sending"),
        Measure("quiet_p99_beside", statistics.median(report.batches.p99 for report in beside), "s", "reported", True, "the same beside the loud one"),
        Measure("quiet_refused", refused, "events", "== 0", refused == 0, "events of the quiet tenant that were not accepted"),
        Measure("loud_sent", round(sent, 1), "events/s", f">= {QUIET_RATE * TIMES * 0.99:g}", sent >= QUIET_RATE * TIMES * 0.99, "what the loud tenant sent"),
        Measure("loud_accepted", round(let_in, 1), "events/s", f"<= {QUOTA * 1.6:g}", 0 < let_in <= QUOTA * 1.6, f"its quota is {QUOTA:g} a second, and ten seconds' worth saved up between the rounds"),
        Measure("machine_slowness", max(slow), "ratio", "reported", True, f"`weir_bench.machine`, before and after: {slow[0]}, {slow[1]}"),
    ]  # fmt: skip
    path = mesh.state / "bench" / "neighbour.json"
    met = write(path, measures, environment(Path.cwd()), ratios=ratios)
    show(measures)
    print(f"  {path}")
    return met


async def _send(
    mesh: Mesh, name: str, tenant: LoadTenant, rate: float, batch: int, seconds: float, seed: int
) -> PhaseReport:
    plan = Plan(tenants=[tenant], phases=[Phase(name, seconds, rate)], batch=batch, people=500, seed=seed)
    (report,) = [one async for one in offer(mesh, plan, mesh.state / "bench" / f"load-{name}")]
    return report


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each half of a round")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(_main(arguments.rounds, arguments.seconds)) else 1)


if __name__ == "__main__":
    main()
