"""The open-loop driver of decisions, a process of its own: each call is sent when it is due, whatever became of those before it.

Reads a `Plan` from standard input, writes one `Report` a phase to standard output.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import grpc
import msgspec
import numpy as np
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc

from weir_bench.fraud.payments import payments

DEADLINE_SECONDS: Final = 2.0
VECTORS_KEPT: Final = 500


class DecisionPhase(msgspec.Struct, frozen=True):
    """A stretch of constant load: calls a second, each with so many payments."""

    name: str
    seconds: float
    rate: float
    payments: int = 1


class Plan(msgspec.Struct, frozen=True):
    """Who asks where."""

    target: str
    tenant: str
    key: str
    seed: int
    phases: list[DecisionPhase]


class Report(msgspec.Struct, frozen=True):
    """Of one phase. Latencies in seconds from the intended time of sending, of what was answered with a decision."""

    phase: str
    calls: int
    decided: int
    """Payments."""
    latencies: list[float]
    failures: dict[str, int]
    explained: int
    """Decisions whose contributions are there and add up to the margin, to 1e-6."""
    told: dict[str, float]
    """Event → score."""
    vectors: list[list[float | None]]
    late_sends: float
    """The most that a call was sent after it was due: the driver's own share of a latency."""


class _Phase:
    def __init__(self, plan: Plan, phase: DecisionPhase, stub: Any, events: Iterator[tuple[str, bytes]]) -> None:
        self._plan = plan
        self._phase = phase
        self._stub = stub
        self._events = events
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()
        self._told: dict[str, float] = {}
        self._vectors: list[list[float | None]] = []
        self._explained = 0
        self._late = 0.0

    async def run(self) -> Report:
        number = round(self._phase.seconds * self._phase.rate)
        begun = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as calls:
            for call in range(number):
                due = begun + call / self._phase.rate
                # Made before it is due: that is the client's work, not the answer's.
                events = [next(self._events) for _ in range(self._phase.payments)]
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                self._late = max(self._late, time.perf_counter() - due)
                calls.create_task(self._call(events, due))
        return Report(
            self._phase.name,
            number,
            len(self._told),
            self._latencies,
            dict(self._failures),
            self._explained,
            self._told,
            self._vectors,
            self._late,
        )

    async def _call(self, events: list[tuple[str, bytes]], due: float) -> None:
        metadata = (("x-api-key", self._plan.key),)
        try:
            if self._phase.payments == 1:
                one = fraud_pb2.ScoreTransactionRequest(tenant_id=self._plan.tenant, event=events[0][1])
                answer = await self._stub.ScoreTransaction(one, metadata=metadata, timeout=DEADLINE_SECONDS)
                decisions = [answer.decision]
            else:
                many = fraud_pb2.ScoreTransactionsRequest(
                    tenant_id=self._plan.tenant, events=[event for _, event in events]
                )
                answers = await self._stub.ScoreTransactions(many, metadata=metadata, timeout=DEADLINE_SECONDS)
                decisions = [result.decision for result in answers.results if result.WhichOneof("result") == "decision"]
        except grpc.aio.AioRpcError as error:
            self._failures[error.code().name] += len(events)
            return
        self._latencies.append(time.perf_counter() - due)
        if len(decisions) < len(events):
            self._failures["REFUSED"] += len(events) - len(decisions)
        for decision in decisions:
            self._told[decision.event_id] = decision.score
            self._explained += _adds_up(decision)
            if len(self._vectors) < VECTORS_KEPT:
                self._vectors.append(
                    [part.value if part.HasField("value") else None for part in decision.contributions]
                )


def _adds_up(decision: Any) -> bool:
    parts = [part.contribution for part in decision.contributions]
    return bool(parts) and abs(decision.base_value + sum(parts) - decision.margin) <= 1e-6 * max(
        1, abs(decision.margin)
    )


def quantiles(latencies: list[float]) -> tuple[float, float, float]:
    """p50, p99, p99.9; nan of nothing."""
    if not latencies:
        return (float("nan"),) * 3
    p50, p99, p999 = np.quantile(latencies, [0.5, 0.99, 0.999])
    return float(p50), float(p99), float(p999)


async def _main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    events = payments(plan.tenant, plan.seed)
    async with grpc.aio.insecure_channel(plan.target) as channel:
        stub = fraud_pb2_grpc.FraudServiceStub(channel)
        for phase in plan.phases:
            report = await _Phase(plan, phase, stub, events).run()
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_main())
