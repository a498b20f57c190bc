# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-yardstick``: what a bare prototype and a bare decode take here, beside what they took where the bounds were set.

The bounds of the other benches come from where such a door (`bare_door`) took 14,000 events/s at p99 24 ms and 46 µs of its processor
time an event, with the load and the broker on the same two cores. Its code is not ours, so the ratios are of the prototypes and the
machines together; `json_loads_us` is of the machine alone. Nothing else should run meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec
from weir_common.events import Event
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_common.settings import KafkaSettings
from weir_local import certificates
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_state_directory

from weir_bench.load_generator import TEMPLATE, LoadTenant, Phase, PhaseReport, Plan, Target, offer_to
from weir_bench.machine import slowness
from weir_bench.peers.servers import bootstrap, servers
from weir_bench.shown import show

TOPIC: Final = TopicSpec("weir.bench.yardstick.v1", 12)
RATES: Final = (500.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0, 6_000.0, 8_000.0, 10_000.0, 12_000.0, 14_000.0)
BATCH: Final = 100
SECONDS: Final = 10.0
WARM_UP_SECONDS: Final = 20.0
KEPT_UP: Final = 0.99
ACK_BOUND_SECONDS: Final = 0.1
REFERENCE_RATE: Final = 14_000.0
REFERENCE_CPU_US: Final = 46.0
REFERENCE_DECODE_US: Final = 9.0
REFERENCE_LOADS_US: Final = 52.0
START_SECONDS: Final = 30.0


async def _main() -> bool:
    root = Path.cwd()
    state = root / ".weir-bench-yardstick"
    slow = [slowness()]
    text = TEMPLATE.read_bytes()
    decode, loads = _microseconds(msgspec.json.Decoder(Event).decode, text), _microseconds(json.loads, text)
    best: tuple[PhaseReport, float] | None = None
    failed = 0
    with servers(state, keep=False, only="kafka") as mesh:
        await ensure_topics(KafkaSettings(bootstrap_servers=bootstrap(mesh)), (TOPIC,))
        with _door(mesh) as (process, target):
            await _answers(target.url)
            # The broker's JVM compiles what every event passes through.
            await _step(process, target, RATES[0], state / "load", WARM_UP_SECONDS)
            for rate in RATES:
                report, cpu = await _step(process, target, rate, state / "load")
                keeps_up = report.accepted >= KEPT_UP * rate * SECONDS and report.batches.p99 <= ACK_BOUND_SECONDS
                print(
                    f"  {rate:>6.0f} events/s: accepted {report.accepted / SECONDS:.0f}, p99 {report.batches.p99 * 1e3:.0f} ms, {cpu:.0f} us of the door an event",
                    flush=True,
                )
                if keeps_up:
                    best, failed = (report, cpu), 0
                else:
                    failed += 1
                # One step may fall into a bad moment; two are the end.
                if failed == 2:
                    break
    slow.append(slowness())
    rate, cpu_us, p99 = (best[0].accepted / SECONDS, best[1], best[0].batches.p99) if best else (0.0, 0.0, 0.0)
    measures = [
        Measure("bare_rate", round(rate), "events/s", "reported", True, f"highest rate of {', '.join(f'{one:g}' for one in RATES)} with p99 within {ACK_BOUND_SECONDS * 1e3:g} ms; {REFERENCE_RATE:,.0f} where the bounds were set"),
        Measure("bare_ack_p99", p99, "s", "reported", True, f"of bodies of {BATCH} events at that rate, from the intended time of sending"),
        Measure("bare_cpu_us_per_event", round(cpu_us, 1), "us", "reported", True, f"of the door's process at that rate; {REFERENCE_CPU_US:g} where the bounds were set"),
        Measure("rate_ratio", round(rate / REFERENCE_RATE, 3), "ratio", "reported", best is not None, "bare_rate over its reference"),
        Measure("cpu_ratio", round(cpu_us / REFERENCE_CPU_US, 2), "ratio", "reported", best is not None, "bare_cpu_us_per_event over its reference"),
        Measure("typed_decode_us", round(decode, 1), "us", "reported", True, f"the sample event, machine otherwise idle, median of rounds; {REFERENCE_DECODE_US:g} where the bounds were set, with a schema that nobody described"),
        Measure("json_loads_us", round(loads, 1), "us", "reported", True, f"the same by the standard library; {REFERENCE_LOADS_US:g} there"),
        Measure("machine_slowness", max(slow), "ratio", "reported", True, f"`weir_bench.machine`, before and after: {slow[0]}, {slow[1]}"),
    ]  # fmt: skip
    path = default_state_directory(os.environ, root) / "bench" / "yardstick.json"
    met = write(path, measures, environment(root))
    show(measures)
    print(f"  {path}")
    return met


async def _step(
    process: subprocess.Popen[bytes], target: Target, rate: float, folder: Path, seconds: float = SECONDS
) -> tuple[PhaseReport, float]:
    """What the generator saw, and the door's processor time an accepted event in µs."""
    before = 0.0

    def began(_: str) -> None:
        nonlocal before
        before = _cpu_seconds(process.pid)

    plan = Plan(tenants=[LoadTenant("yardstick", "none")], phases=[Phase(f"{rate:g}", seconds, rate)], batch=BATCH)
    (report,) = [one async for one in offer_to(target, plan, folder, began)]
    return report, (_cpu_seconds(process.pid) - before) / max(1, report.accepted) * 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(int(value) for value in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def _microseconds(read: Callable[[bytes], object], text: bytes) -> float:
    rounds = []
    for _ in range(25):
        began = time.process_time_ns()
        for _ in range(200):
            read(text)
        rounds.append((time.process_time_ns() - began) / 200 / 1_000)
    return statistics.median(rounds)


@contextmanager
def _door(mesh: Mesh) -> Iterator[tuple[subprocess.Popen[bytes], Target]]:
    port = mesh.port("yardstick-http")
    command = (sys.executable, "-m", "weir_bench.yardstick.bare_door", bootstrap(mesh), TOPIC.name, str(port))
    process = subprocess.Popen(command)
    try:
        yield process, Target(mesh.cache, f"http://127.0.0.1:{port}", certificates.ca(mesh).certificate)
    finally:
        process.terminate()
        process.wait(timeout=30)


async def _answers(url: str) -> None:
    async with httpx.AsyncClient(timeout=2) as client, asyncio.timeout(START_SECONDS):
        while True:
            try:
                await client.get(url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(_main()) else 1)
