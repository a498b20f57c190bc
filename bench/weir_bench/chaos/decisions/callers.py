"""Who pays while something dies: calls over gRPC that are made again until they are answered, and the same payments and others at the door."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import grpc.aio
import httpx
import msgspec
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_anomaly.generators.episode import Actor
from weir_local.demo.api import Gateway

from weir_bench.chaos.traffic import Event, event_id
from weir_bench.load_generator import LoadTenant

PEOPLE = 15
CALLS_A_SECOND = 20.0
DOOR_ONLY_SHARE = 0.2
TWICE_SHARE = 0.15
DEADLINE_SECONDS = 1.0
GIVE_UP_SECONDS = 180.0
BATCH = 100
_DOOR_SECONDS = 10.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class Told(NamedTuple):
    """What one call was answered."""

    began: float
    seconds: float
    score: float
    outcome: str
    degraded: tuple[str, ...]


@dataclass
class Answers:
    """What the callers of a shop remember. Times are of ``time.monotonic``."""

    told: dict[str, list[Told]] = field(default_factory=lambda: defaultdict(list))
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    gave_up: int = 0

    def first_whole(self, since: float) -> float | None:
        """Seconds from ``since`` to the first answer of a call begun after it that was not degraded."""
        found = [
            one.began + one.seconds - since
            for many in self.told.values()
            for one in many
            if one.began >= since and not one.degraded
        ]
        return min(found, default=None)


class Shop:
    """One tenant: people who pay, some twice with the same event, and what the callers and the door said."""

    def __init__(self, tenant: LoadTenant, seed: str) -> None:
        self.tenant = tenant
        self.answers = Answers()
        self.accepted: set[str] = set()
        self._chance = random.Random(f"{seed}/{tenant.id}")
        self._people = [
            Actor(f"{seed}/{tenant.id}/{number}", tenant.id, user=f"person-{number}") for number in range(PEOPLE)
        ]
        self._at_the_door: asyncio.Queue[Event] = asyncio.Queue(100_000)

    async def pay(self, gateway: Gateway, channel: grpc.aio.Channel, stop: asyncio.Event) -> None:
        """Open loop until ``stop``: whoever waits for an answer keeps nobody from paying. What was begun is finished."""
        stub = fraud_pb2_grpc.FraudServiceStub(channel)
        async with asyncio.TaskGroup() as group:
            door = group.create_task(self._send(gateway))
            calls: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                event = self._payment()
                if self._chance.random() < DOOR_ONLY_SHARE:
                    self._at_the_door.put_nowait(event)
                else:
                    task = group.create_task(self._asked(stub, event))
                    calls.add(task)
                    task.add_done_callback(calls.discard)
                await asyncio.sleep(self._chance.expovariate(CALLS_A_SECOND))
            while calls:
                await asyncio.wait(calls)
            await self._at_the_door.join()
            door.cancel()

    def _payment(self) -> Event:
        actor = self._chance.choice(self._people)
        cart = actor.cart(round(actor.chance.uniform(5, 400), 2), token=actor.token(actor.chance.randrange(2)))
        event: Event = actor.event(datetime.now(UTC), "transaction", "purchase", transaction=cart)
        return event

    async def _asked(self, stub: fraud_pb2_grpc.FraudServiceStub, event: Event) -> None:
        """One call, or two of the same payment at once; afterwards the payment comes in at the door, as a shop's events do."""
        again = 2 if self._chance.random() < TWICE_SHARE else 1
        await asyncio.gather(*(self._call(stub, event) for _ in range(again)))
        self._at_the_door.put_nowait(event)

    async def _call(self, stub: fraud_pb2_grpc.FraudServiceStub, event: Event) -> None:
        request = fraud_pb2.ScoreTransactionRequest(tenant_id=self.tenant.id, event=msgspec.json.encode(event))
        metadata = (("x-api-key", self.tenant.key),)
        give_up, pause = time.monotonic() + GIVE_UP_SECONDS, _FIRST_PAUSE
        while time.monotonic() < give_up:
            self.answers.calls += 1
            began = time.monotonic()
            try:
                answer = await stub.ScoreTransaction(request, metadata=metadata, timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                self.answers.failures[error.code().name] += 1
                await asyncio.sleep(random.uniform(0, pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            decision = answer.decision
            outcome = fraud_pb2.Outcome.Name(decision.outcome).removeprefix("OUTCOME_").lower()
            told = Told(began, time.monotonic() - began, decision.score, outcome, tuple(decision.degraded))
            self.answers.told[event_id(event)].append(told)
            return
        self.answers.gave_up += 1

    async def _send(self, gateway: Gateway) -> None:
        """At the door, one batch after the other, each until it is accepted."""
        while True:
            batch = [await self._at_the_door.get()]
            while not self._at_the_door.empty() and len(batch) < BATCH:
                batch.append(self._at_the_door.get_nowait())
            left, give_up = batch, time.monotonic() + GIVE_UP_SECONDS
            while left and time.monotonic() < give_up:
                left = await self._sent(gateway, left)
                if left:
                    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
            self.answers.gave_up += len(left)
            for _ in batch:
                self._at_the_door.task_done()

    async def _sent(self, gateway: Gateway, batch: list[Event]) -> list[Event]:
        """Gives what must be sent again."""
        try:
            answer = await gateway.client.post(
                "/api/v2/events/batch",
                content=msgspec.json.encode({"events": batch}),
                headers={"x-api-key": self.tenant.key, "content-type": "application/json"},
                timeout=_DOOR_SECONDS,
            )
        except httpx.HTTPError:
            return batch
        if answer.status_code not in (202, 207):
            return batch
        fates = zip(batch, answer.json()["results"], strict=True)
        taken = {event_id(event) for event, fate in fates if fate["status"] in ("accepted", "duplicate")}
        self.accepted |= taken
        return [event for event in batch if event_id(event) not in taken]
