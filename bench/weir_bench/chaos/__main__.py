# ruff: noqa: E501 - measures read best as the lines of a table
"""``make chaos-ingest``: rounds of faults on a mesh of its own, and one verdict over all of them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.chaos.door import ANSWER_BOUND_SECONDS, MEMORY_BOUND_BYTES, DoorReport, hold_the_log
from weir_bench.chaos.plan import Round, rounds
from weir_bench.chaos.recovery import DidNotRecover, well
from weir_bench.chaos.round import WELL_SECONDS, Outcome, examine, play
from weir_bench.shown import show
from weir_bench.tenants import make_tenants

ROUNDS = 32
FEWEST = 30
MEDIAN_BOUND_SECONDS = 45.0
WORST_BOUND_SECONDS = 180.0
"""Generous: a Kafka that was killed takes 20 s to start on two busy cores, and its machine may be shared."""
LAKE_SECONDS = 60.0
ATTEMPTS = 2
STATE = ".weir-chaos"


async def _main(chosen: Sequence[Round], seed: int, whole: bool, report: Path) -> bool:
    mesh = Mesh.at(Path.cwd() / STATE, default_cache_directory(os.environ), links=True)
    print(f"{len(chosen)} rounds of seed {seed}", flush=True)
    outcomes: list[Outcome] = []
    async with Gateway.of(mesh) as gateway:
        for one in chosen:
            outcome = await _counted(mesh, gateway, one)
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
        door = None
        if whole:
            print("Kafka held still: the door alone", flush=True)
            door = await hold_the_log(mesh, gateway, (await make_tenants(gateway, 1))[0])
            await well(mesh, WELL_SECONDS)
        print(
            f"once more from the earliest offset, and the lake ({LAKE_SECONDS:.0f} s for its last commit)", flush=True
        )
        await asyncio.sleep(LAKE_SECONDS)
        before = [set(outcome.verdict.words) for outcome in outcomes]
        await examine(mesh, gateway, outcomes, None)
        for outcome, words in zip(outcomes, before, strict=True):
            for new in set(outcome.verdict.words) - words:
                print(f"  round {outcome.round.number}: {new}", flush=True)
    measures = _measures(outcomes, FEWEST if whole else len(outcomes))
    if door is not None:
        measures += _door_measures(door)
    met = write(
        report,
        measures,
        environment(Path.cwd()),
        seed=seed,
        rounds=[outcome.document() for outcome in outcomes],
        door=None if door is None else {**vars(door), "answers": dict(door.answers)},
    )
    show(measures)
    print(f"  {report}")
    return met


async def _counted(mesh: Mesh, gateway: Gateway, one: Round) -> Outcome:
    """Play it; once more if its fault could not be proven."""
    for attempt in range(1, ATTEMPTS + 1):
        outcome = await play(mesh, gateway, one)
        if outcome.proven or attempt == ATTEMPTS:
            return outcome
        print(f"  round {one.number} does not count: {outcome.not_proven}; again", flush=True)
    raise AssertionError("unreachable")


def _line(outcome: Outcome) -> str:
    verdict = outcome.verdict
    recovery = "did not recover" if outcome.recovery_seconds is None else f"back in {outcome.recovery_seconds:5.1f} s"
    text = (
        f"  {'ok ' if outcome.good else 'BAD'} {outcome.round.number:>3} {outcome.round!s:<46.46} {recovery}  "
        f"kept {outcome.acknowledged:>5} of {outcome.sent:>5}  lost {verdict.lost} twice {verdict.twice} "
        f"inverted {verdict.inverted} imbalance {outcome.imbalance}  {outcome.seconds:.0f} s"
    )
    more = [*outcome.trouble, *verdict.words, *([outcome.not_proven] if not outcome.proven else [])]
    return "\n".join([text, *(f"        {line}" for line in more)])


def _measures(outcomes: Sequence[Outcome], fewest: int) -> list[Measure]:
    counted = [outcome for outcome in outcomes if outcome.proven]
    lost, twice, inverted = (
        sum(getattr(outcome.verdict, name) for outcome in outcomes) for name in ("lost", "twice", "inverted")
    )
    unbalanced = sum(outcome.imbalance for outcome in outcomes)
    kept = sum(outcome.acknowledged for outcome in outcomes)
    seconds = [outcome.recovery_seconds for outcome in counted if outcome.recovery_seconds is not None]
    median, worst = (statistics.median(seconds), max(seconds)) if seconds else (None, None)
    trouble = sum(len(outcome.trouble) for outcome in outcomes)
    return [
        Measure("rounds", len(counted), "rounds", f">= {fewest}", len(counted) >= fewest, f"rounds whose fault is proven, of {len(outcomes)}"),
        Measure("acknowledged_lost", lost, "events", "== 0", lost == 0 and kept > 0, f"of {kept} acknowledged ids: not on the log from its earliest offset, or without a decision, a row in the lake, a finding, or a consumer's entry"),
        Measure("effects_twice", twice, "effects", "== 0", twice == 0, "second decisions, rows in the lake, findings, ledger entries; figures of a dashboard that differ from the recomputation"),
        Measure("order_inversions", inverted, "events", "== 0", inverted == 0, "acknowledged ids whose first record stands after that of a later event of their subject"),
        Measure("ledger_imbalance", unbalanced, "events", "== 0", unbalanced == 0, "differences of GET /api/v2/ops/ledger that are not harmless, over every shop of every round"),
        Measure("recovery_median", median, "s", f"<= {MEDIAN_BOUND_SECONDS:g}", median is not None and median <= MEDIAN_BOUND_SECONDS, "from a kill, or from the end of another fault, until an event is accepted and every consumer and outbox has done what was there"),
        Measure("recovery_worst", worst, "s", f"<= {WORST_BOUND_SECONDS:g}", worst is not None and worst <= WORST_BOUND_SECONDS and len(seconds) == len(counted), f"as above; {len(counted) - len(seconds)} did not recover"),
        Measure("trouble", trouble, "cases", "== 0", trouble == 0, "parts that died by themselves or did not come back, good events or credentials that were refused, records put aside wrongly"),
    ]  # fmt: skip


def _door_measures(door: DoorReport) -> list[Measure]:
    honest = not door.without_retry_after and set(door.answers) <= {"503", "429"}
    return [
        Measure("door_memory_growth", door.grown_bytes, "bytes", f"<= {MEMORY_BOUND_BYTES}", door.grown_bytes <= MEMORY_BOUND_BYTES, f"ingest's resident memory while Kafka is held still and {door.offered_bytes / 1e6:.0f} MB are offered"),
        Measure("door_answer_worst", round(door.slowest_seconds, 2), "s", f"<= {ANSWER_BOUND_SECONDS:g}", door.slowest_seconds <= ANSWER_BOUND_SECONDS and honest, f"the same requests: {dict(door.answers)}, each with Retry-After"),
    ]  # fmt: skip


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def main() -> None:
    """Run it on the mesh that ``make chaos-ingest`` has started; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument(
        "--only", type=_numbers, default=(), help="numbers of rounds of the seed, by commas: these, and not the door"
    )
    parser.add_argument("--repeat", type=int, default=1, help="how often to play what is chosen")
    given = parser.parse_args()
    # A refused connection is an expected answer here, not news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    chosen = rounds(max(given.rounds, *given.only, 0), given.seed)
    if given.only:
        chosen = [one for one in chosen if one.number in given.only]
    chosen = chosen * given.repeat
    report = default_state_directory(os.environ, Path.cwd()) / "chaos" / "ingest.json"
    began = time.monotonic()
    met = False
    try:
        met = asyncio.run(_main(chosen, given.seed, not given.only, report))
    except DidNotRecover as error:
        print(f"the mesh is not well, the run ends here: {error}", file=sys.stderr)
    print(f"  {time.monotonic() - began:.0f} s, seed {given.seed}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
