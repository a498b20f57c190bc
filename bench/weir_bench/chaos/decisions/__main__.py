# ruff: noqa: E501 - measures read best as the lines of a table
"""``make chaos-decisions``: rounds of faults while shops ask for decisions, on a mesh of their own, and one verdict over all of them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from weir_common.grpc import grpc_channel
from weir_common.kafka.topics import DECISIONS, EVENTS
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.chaos import stores
from weir_bench.chaos.decisions.callers import DEADLINE_SECONDS, Shop
from weir_bench.chaos.decisions.judgement import Verdict, judge
from weir_bench.chaos.faults import inflict
from weir_bench.chaos.plan import Fault, Kind
from weir_bench.chaos.recovery import DidNotRecover, caught_up, well
from weir_bench.chaos.servers import NotProven
from weir_bench.shown import show
from weir_bench.tenants import make_tenants

STATE = ".weir-chaos"
BEFORE_SECONDS = 4.0
AFTER_SECONDS = 4.0
WELL_SECONDS = 240.0
MEDIAN_BOUND_SECONDS = 45.0
RECOVERY_BOUND_SECONDS = 180.0
"""As of `make chaos-ingest`."""
DECK = (
    Fault(Kind.HOLD, "valkey", 6.0),
    Fault(Kind.KILL, "valkey", 2.0),
    Fault(Kind.KILL, "fraud", 1.0),
    Fault(Kind.KILL, "kafka", 1.0),
    Fault(Kind.HOLD, "postgres", 4.0),
)


@dataclass
class Outcome:
    """What came of a round. ``recovery_seconds`` None: it did not recover; ``proven`` empty: it does not count."""

    fault: Fault
    proven: str = ""
    recovery_seconds: float | None = None
    trouble: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    calls: int = 0
    answered: int = 0
    late: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """For the report."""
        return {**vars(self), "fault": str(self.fault), "verdict": vars(self.verdict)}

    def line(self) -> str:
        """For people."""
        verdict = self.verdict
        recovery = "did not recover" if self.recovery_seconds is None else f"whole in {self.recovery_seconds:5.1f} s"
        text = (
            f"  {self.fault!s:<22} {recovery}  {self.answered} answers to {self.calls} calls {dict(self.failures)}  degraded {sum(self.degraded.values())}  "
            f"payments {verdict.payments}  lost {verdict.lost} different {verdict.different} unapplied {verdict.unapplied}  "
            f"features {verdict.features_different} of {verdict.features_compared} differ"
        )
        return "\n".join([text, *(f"        {line}" for line in (*self.trouble, *verdict.words[:10]))])


async def _play(mesh: Mesh, gateway: Gateway, fault: Fault, seed: str) -> Outcome:
    outcome = Outcome(fault)
    await well(mesh, WELL_SECONDS)
    shop = Shop((await make_tenants(gateway, 1))[0], seed)
    began_at = await stores.ends_of(mesh, [EVENTS, DECISIONS])
    stop = asyncio.Event()
    async with grpc_channel(f"127.0.0.1:{mesh.port('fraud-grpc')}") as channel:
        paying = asyncio.create_task(shop.pay(gateway, channel, stop))
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            try:
                evidence = await inflict(mesh, fault)
                outcome.proven = evidence.words
                outcome.trouble += evidence.wrong
                outcome.recovery_seconds = await _whole_again(mesh, shop, evidence.since)
            except NotProven as error:
                outcome.trouble.append(f"does not count: {error}")
            except DidNotRecover as error:
                outcome.trouble.append(str(error))
            await asyncio.sleep(AFTER_SECONDS)
        finally:
            stop.set()
            await paying
    await well(mesh, WELL_SECONDS)
    await _nothing_waits(mesh, WELL_SECONDS)
    outcome.verdict = await judge(mesh, shop, began_at)
    answers = [one for many in shop.answers.told.values() for one in many]
    outcome.calls, outcome.failures, outcome.answered = shop.answers.calls, shop.answers.failures, len(answers)
    outcome.late = sum(one.seconds > DEADLINE_SECONDS for one in answers)
    outcome.degraded = Counter(" ".join(one.degraded) for one in answers if one.degraded)
    if shop.answers.gave_up:
        outcome.trouble.append(f"{shop.answers.gave_up} payments were not taken for minutes")
    return outcome


async def _whole_again(mesh: Mesh, shop: Shop, since: float) -> float:
    """Until a call is answered with everything, the consumers have caught up, and the histories have what they missed."""
    deadline = time.monotonic() + WELL_SECONDS
    while shop.answers.first_whole(since) is None:
        if time.monotonic() > deadline:
            raise DidNotRecover(f"no whole answer within {WELL_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
    await caught_up(mesh, WELL_SECONDS)
    await _nothing_waits(mesh, WELL_SECONDS)
    return time.monotonic() - since


async def _nothing_waits(mesh: Mesh, seconds: float) -> None:
    """Until nothing of a decision is left to be done."""
    deadline = time.monotonic() + seconds
    words = "nothing was read"
    while time.monotonic() < deadline:
        try:
            async with stores.superuser(mesh) as connection:
                waiting = await connection.fetchval("SELECT count(*) FROM fraud.unfinished_work")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            words = repr(error)
        else:
            if not waiting:
                return
            words = f"{waiting} wait"
        await asyncio.sleep(0.2)
    raise DidNotRecover(f"unfinished after {seconds:.0f} s: {words}")


def _measures(outcomes: Sequence[Outcome]) -> list[Measure]:
    verdicts = [one.verdict for one in outcomes]
    payments, lost, different, unapplied = (
        sum(getattr(one, name) for one in verdicts) for name in ("payments", "lost", "different", "unapplied")
    )
    compared, wrong = sum(one.features_compared for one in verdicts), sum(one.features_different for one in verdicts)
    counted = [one for one in outcomes if one.proven]
    seconds = [one.recovery_seconds for one in counted if one.recovery_seconds is not None]
    median, worst = (statistics.median(seconds), max(seconds)) if seconds else (None, None)
    answered, degraded = sum(one.answered for one in outcomes), sum(sum(one.degraded.values()) for one in outcomes)
    trouble = sum(len(one.trouble) for one in outcomes)
    valkey = [one for one in counted if one.fault.target == "valkey"]
    refused = sum(one.calls - one.answered for one in valkey)
    return [
        Measure("rounds", len(counted), "rounds", f"== {len(outcomes)}", len(counted) == len(outcomes), "rounds whose fault is proven"),
        Measure("payments_lost", lost, "payments", "== 0", lost == 0 and payments > 0, f"of {payments} that were answered or accepted: without a decision in PostgreSQL or on the topic"),
        Measure("payments_different", different, "payments", "== 0", different == 0, "with another decision announced, or told to a caller, than the stored one"),
        Measure("payments_unapplied", unapplied, "payments", "== 0", unapplied == 0, "decided, and not in the histories after the recovery"),
        Measure("features_different", wrong, "values", "== 0", wrong == 0 and compared > 0, f"of {compared}: aggregates in Valkey that differ from the offline computation over the log"),
        Measure("refused_without_valkey", refused, "calls", "== 0", refused == 0, f"calls that had no answer within {DEADLINE_SECONDS:g} s while Valkey was held still or killed, in {len(valkey)} rounds"),
        Measure("degraded_share", round(degraded / max(answered, 1), 4), "1", "> 0 with Valkey away", degraded > 0 or not valkey, f"of {answered} answers, all rounds together; without any the faults have shown nothing"),
        Measure("recovery_median", median, "s", f"<= {MEDIAN_BOUND_SECONDS:g}", median is not None and median <= MEDIAN_BOUND_SECONDS, "from a kill, or from the end of another fault, until an answer is whole, the consumers have caught up and nothing is left to be done"),
        Measure("recovery_worst", worst, "s", f"<= {RECOVERY_BOUND_SECONDS:g}", worst is not None and worst <= RECOVERY_BOUND_SECONDS and len(seconds) == len(counted), "as above"),
        Measure("trouble", trouble, "cases", "== 0", trouble == 0, "faults that are not proven, parts that did not come back, payments that nobody took"),
    ]  # fmt: skip


async def _main(faults: Sequence[Fault], seed: int, report: Path) -> bool:
    mesh = Mesh.at(Path.cwd() / STATE, default_cache_directory(os.environ))
    print(f"{len(faults)} rounds of seed {seed}", flush=True)
    outcomes: list[Outcome] = []
    async with Gateway.of(mesh) as gateway:
        for number, fault in enumerate(faults):
            outcomes.append(await _play(mesh, gateway, fault, f"{seed}/{number}"))
            print(outcomes[-1].line(), flush=True)
    measures = _measures(outcomes)
    met = write(
        report, measures, environment(Path.cwd()), seed=seed, rounds=[outcome.document() for outcome in outcomes]
    )
    show(measures)
    print(f"  {report}")
    return met


def main() -> None:
    """Run it on the mesh that ``make chaos-decisions`` has started; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=len(DECK), help="the deck is begun anew after its last")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    faults = [DECK[number % len(DECK)] for number in range(given.rounds)]
    report = default_state_directory(os.environ, Path.cwd()) / "chaos" / "decisions.json"
    began, met = time.monotonic(), False
    try:
        met = asyncio.run(_main(faults, given.seed, report))
    except DidNotRecover as error:
        print(f"the mesh is not well, the run ends here: {error}", file=sys.stderr)
    print(f"  {time.monotonic() - began:.0f} s, seed {given.seed}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
