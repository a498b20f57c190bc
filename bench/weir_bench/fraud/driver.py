"""The open-loop driver of decisions, a process of its own: each call is sent when it is due, whatever became of those before it.

It shares the processors with what it measures, so it does little while it measures: requests are made before, answers are read afterwards.

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
from weir.fraud.v1 import fraud_pb2

from weir_bench.fraud.payments import payments

_SERVICE: Final = fraud_pb2.DESCRIPTOR.services_by_name["FraudService"].full_name
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
    """One stretch, made beforehand: what is sent is bytes, and so is what comes back."""

    def __init__(self, plan: Plan, phase: DecisionPhase, events: Iterator[tuple[str, bytes]]) -> None:
        self._phase = phase
        self._metadata = (("x-api-key", plan.key),)
        self._requests = [
            _request(plan.tenant, [next(events)[1] for _ in range(phase.payments)])
            for _ in range(round(phase.seconds * phase.rate))
        ]
        self._answers: list[bytes] = []
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()
        self._late = 0.0

    async def run(self, channel: grpc.aio.Channel) -> Report:
        method = "ScoreTransaction" if self._phase.payments == 1 else "ScoreTransactions"
        call = channel.unary_unary(f"/{_SERVICE}/{method}")
        begun = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as calls:
            for number, request in enumerate(self._requests):
                due = begun + number / self._phase.rate
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                self._late = max(self._late, time.perf_counter() - due)
                calls.create_task(self._call(call, request, due))
        return self._report()

    async def _call(self, call: Any, request: bytes, due: float) -> None:
        try:
            answer = await call(request, metadata=self._metadata, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._failures[error.code().name] += self._phase.payments
            return
        self._latencies.append(time.perf_counter() - due)
        self._answers.append(answer)

    def _report(self) -> Report:
        told: dict[str, float] = {}
        vectors: list[list[float | None]] = []
        explained = 0
        for answer in self._answers:
            decisions = _decisions(answer, self._phase.payments)
            if len(decisions) < self._phase.payments:
                self._failures["REFUSED"] += self._phase.payments - len(decisions)
            for decision in decisions:
                told[decision.event_id] = decision.score
                explained += _adds_up(decision)
                # Of a decision whose explanation was put off the answer says no features.
                if len(vectors) < VECTORS_KEPT and decision.contributions:
                    vectors.append([part.value if part.HasField("value") else None for part in decision.contributions])
        return Report(
            self._phase.name,
            len(self._requests),
            len(told),
            self._latencies,
            dict(self._failures),
            explained,
            told,
            vectors,
            self._late,
        )


def _request(tenant: str, events: list[bytes]) -> bytes:
    request = (
        fraud_pb2.ScoreTransactionRequest(tenant_id=tenant, event=events[0])
        if len(events) == 1
        else fraud_pb2.ScoreTransactionsRequest(tenant_id=tenant, events=events)
    )
    return bytes(request.SerializeToString())


def _decisions(answer: bytes, payments: int) -> list[Any]:
    if payments == 1:
        return [fraud_pb2.ScoreTransactionResponse.FromString(answer).decision]
    results = fraud_pb2.ScoreTransactionsResponse.FromString(answer).results
    return [result.decision for result in results if result.WhichOneof("result") == "decision"]


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
    made = [_Phase(plan, phase, events) for phase in plan.phases]
    async with grpc.aio.insecure_channel(plan.target) as channel:
        for phase in made:
            report = await phase.run(channel)
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_main())
