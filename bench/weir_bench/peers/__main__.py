# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-peers``: one topic, drained by four other frameworks and by ours; same decoder, same sums, one process each.

The sums of every run must equal those that were counted when the topic was written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from weir_common.kafka.producer import kafka_publisher
from weir_common.settings import KafkaSettings
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.peers.contestants import BY_DEFAULT, CONTESTANTS, NOTHING, Contestant, NotMeasured, in_turn, run
from weir_bench.peers.peers_environment import locked_versions, peers_python
from weir_bench.peers.programs.work import Row, Task, rows
from weir_bench.peers.servers import TOPIC, application_dsn, bootstrap, empty_tables, prepare, servers, stored_bytes
from weir_bench.peers.topic import fill
from weir_bench.processes import cpu_seconds

EVENTS = 200_000
ROUNDS = 3
GOAL = 3.0
SLOWEST_RATE = 1_000
"""Events/s that a run must reach: its deadline follows."""
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``server_cpu_us``: what Kafka and PostgreSQL used meanwhile, an event."""

    round: int
    name: str
    batch: int
    rate: float
    cpu_us: float
    server_cpu_us: dict[str, float]


class WrongSums(Exception):
    """A program whose aggregates are not those that were written."""


def _main(count: int, rounds: int, *, keep: bool) -> bool:
    root = Path(__file__).parents[3]
    cache = default_cache_directory(os.environ)
    lock = root / "requirements" / "peers.lock"
    python = peers_python(lock, cache)
    report = default_state_directory(os.environ, Path.cwd()) / "bench" / "peers.json"
    runs: list[Run] = []
    failed: dict[str, str] = {}
    with servers(root / ".weir-bench-peers", keep=keep) as mesh:
        print(f"writing {count} events", flush=True)
        expected, size = asyncio.run(_fill(mesh, count))
        stored = stored_bytes(mesh)
        print(f"  {size / count:.0f} bytes each, {stored / count:.0f} on the log; {len(expected)} sums", flush=True)
        for number, contestant in in_turn(rounds, (*CONTESTANTS, BY_DEFAULT, NOTHING)):
            if contestant.name in failed:
                continue
            label = f"{contestant.name} ({contestant.batch})"
            print(f"round {number} of {rounds}: {label:<20} ", end="", flush=True)
            try:
                one = _run(mesh, contestant, number, python, count, expected)
            except NotMeasured as error:
                if not contestant.is_peer:
                    raise
                failed[contestant.name] = str(error)
                print(f"not measured: {error}", flush=True)
            else:
                runs.append(one)
                print(f"{one.rate:>8.0f} events/s, {one.cpu_us:>6.1f} CPU-us an event", flush=True)
    measures = measures_of(runs, failed)
    versions = locked_versions(lock)
    met = write(
        report,
        measures,
        environment(root),
        events=count,
        bytes_an_event=round(size / count),
        stored_bytes_an_event=round(stored / count),
        not_measured=failed,
        settings={f"{one.name}_{one.batch}": one.setting for one in (*CONTESTANTS, BY_DEFAULT, NOTHING)},
        peers={one.name: versions[one.distribution] for one in CONTESTANTS if one.distribution},
        runs=[asdict(one) for one in runs],
    )
    for measure in measures:
        value = "-" if measure.value is None else f"{measure.value:g}"
        print(
            f"  {'ok ' if measure.met else 'BAD'} {measure.name:<24} {value} {measure.unit} (must be {measure.bound})"
        )
    print(f"  {report}")
    return met


async def _fill(mesh: Mesh, count: int) -> tuple[list[Row], int]:
    await prepare(mesh)
    async with kafka_publisher(KafkaSettings(bootstrap_servers=bootstrap(mesh)), "bench-peers") as publisher:
        sums, size = await fill(publisher, TOPIC.name, count)
    return rows(sums), size


def _run(mesh: Mesh, contestant: Contestant, number: int, python: Path, count: int, expected: list[Row]) -> Run:
    asyncio.run(empty_tables(mesh))
    folder = mesh.folder("runs") / f"{number}-{contestant.name}-{contestant.batch}"
    task = Task(
        servers=bootstrap(mesh),
        topic=TOPIC.name,
        events=count,
        group=f"peers-{secrets.token_hex(4)}",
        folder=str(folder),
        batch=contestant.batch,
        postgres="" if contestant.is_peer else application_dsn(mesh),
    )
    before = cpu_seconds(mesh)
    interpreter = python if contestant.is_peer else Path(sys.executable)
    answer = run(contestant, interpreter, task, START_SECONDS + count / SLOWEST_RATE)
    used = {name: seconds - before[name] for name, seconds in cpu_seconds(mesh).items()}
    if answer.rows != expected:
        wrong = len(set(answer.rows) ^ set(expected))
        raise WrongSums(f"{contestant.name}: {wrong} sums are not those of the events that were written; see {folder}")
    shutil.rmtree(folder)
    return Run(
        round=number,
        name=contestant.name,
        batch=contestant.batch,
        rate=round(count / answer.seconds, 1),
        cpu_us=round(answer.cpu_seconds / count * 1e6, 2),
        server_cpu_us={name: round(seconds / count * 1e6, 2) for name, seconds in sorted(used.items())},
    )


def measures_of(runs: Sequence[Run], failed: dict[str, str]) -> list[Measure]:
    """Medians, and ours against the best of the others."""
    rate: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    cpu: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for one in runs:
        rate[one.name, one.batch].append(one.rate)
        cpu[one.name, one.batch].append(one.cpu_us)
    peers = [one for one in CONTESTANTS if one.is_peer]
    measured = [one for one in peers if one.name not in failed and rate[one.name, one.batch]]
    ours = next(one for one in CONTESTANTS if not one.is_peer)

    def medians(which: Contestant, of: dict[tuple[str, int], list[float]]) -> float | None:
        values = of.get((which.name, which.batch), [])
        return round(median(values), 2) if values and which.name not in failed else None

    def spread(which: Contestant, of: dict[tuple[str, int], list[float]]) -> str:
        values = of.get((which.name, which.batch), [])
        if which.name in failed:
            return failed[which.name]
        return f"median of {len(values)}, {min(values):g} to {max(values):g}" if values else "no run"

    best = max(measured, key=lambda one: median(rate[one.name, one.batch]), default=None)
    leanest = min(measured, key=lambda one: median(cpu[one.name, one.batch]), default=None)
    ratio = median(rate[ours.name, ours.batch]) / median(rate[best.name, best.batch]) if best else None
    cpu_ratio = median(cpu[leanest.name, leanest.batch]) / median(cpu[ours.name, ours.batch]) if leanest else None
    measures = [
        Measure("ratio_to_best_peer", ratio and round(ratio, 3), "ratio", f">= {GOAL:g}", ratio is not None and ratio >= GOAL, f"rate_weir over that of {best.name if best else 'nobody'}"),
        Measure("peers_measured", len(measured), "peers", f"== {len(peers)}", len(measured) == len(peers), "; ".join(f"{name}: {why}" for name, why in failed.items()) or "every one, same sums as written"),
        Measure("cpu_ratio_to_best_peer", cpu_ratio and round(cpu_ratio, 3), "ratio", "reported", True, f"CPU of {leanest.name if leanest else 'nobody'} over ours, an event"),
    ]  # fmt: skip
    for each in CONTESTANTS:
        measures.append(Measure(f"rate_{each.name}", medians(each, rate), "events/s", "reported", True, f"{each.setting}; {spread(each, rate)}"))  # fmt: skip
    for each in CONTESTANTS:
        measures.append(Measure(f"cpu_us_{each.name}", medians(each, cpu), "us", "reported", True, f"of its process, an event; {spread(each, cpu)}"))  # fmt: skip
    measures += [
        Measure("rate_weir_by_default", medians(BY_DEFAULT, rate), "events/s", "reported", True, f"{BY_DEFAULT.setting}; {spread(BY_DEFAULT, rate)}"),
        Measure("cpu_us_weir_by_default", medians(BY_DEFAULT, cpu), "us", "reported", True, spread(BY_DEFAULT, cpu)),
        Measure("rate_of_the_work_alone", medians(NOTHING, rate), "events/s", "reported", True, f"{NOTHING.setting}: the limit of any framework in one thread; {spread(NOTHING, rate)}"),
        Measure("cpu_us_of_the_work_alone", medians(NOTHING, cpu), "us", "reported", True, spread(NOTHING, cpu)),
    ]  # fmt: skip
    return measures


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(prog="python -m weir_bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", action="store_true", help="leave the servers running, with the topic")
    given = parser.parse_args()
    # As Ctrl-C: everything that was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        met = _main(given.events, given.rounds, keep=given.keep)
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing was left running" if not given.keep else "interrupted")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
