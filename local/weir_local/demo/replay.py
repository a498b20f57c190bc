"""Sends the events at a steady rate, each tenant in order, with repeats and broken events mixed in."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec

from weir_local.demo.api import Gateway
from weir_local.demo.shoppers import Event

BATCH = 10
REPEAT_SHARE = 0.02
BROKEN_SHARE = 0.002


@dataclass
class Sent:
    """What came of it. ``arrived`` holds for each event id the wall time (Unix seconds) of its acceptance."""

    sent: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, Event] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    fraud_seconds: list[float] = field(default_factory=list)
    fraud_failures: Counter[str] = field(default_factory=Counter)
    """Why a payment got no decision, and how often."""
    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


async def replay(
    gateway: Gateway,
    keys: Mapping[str, str],
    events: Sequence[Event],
    rate: float,
    progress: Callable[[int], None],
    *,
    seed: int = 1,
) -> Sent:
    """Send ``events`` (ascending by time) at ``rate`` a second over all tenants.

    A tenant's batches go one after the other, so that a shopper's events arrive in their order. Payments are first scored
    over the API, as a shop does while the customer waits, and then sent.
    """
    result = Sent()
    started = time.monotonic()
    due: dict[str, list[tuple[float, Event]]] = defaultdict(list)
    for index, event in enumerate(events):
        due[event["tenant_id"]].append((index / rate, event))
    await asyncio.gather(
        *(
            _tenant(gateway, keys[tenant], mine, started, result, progress, random.Random(f"{seed}/{tenant}"))
            for tenant, mine in due.items()
        )
    )
    result.seconds = time.monotonic() - started
    return result


async def _tenant(
    gateway: Gateway,
    key: str,
    due: Sequence[tuple[float, Event]],
    started: float,
    result: Sent,
    progress: Callable[[int], None],
    chance: random.Random,
) -> None:
    for index in range(0, len(due), BATCH):
        part = due[index : index + BATCH]
        wait = started + part[-1][0] - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        batch = [event for _, event in part]
        for event in batch:
            if event["event_data"]["event_type"] == "transaction":
                await _score(gateway, key, event, result)
        await _send(gateway, key, batch, result, expected="accepted")
        progress(len(batch))
        if chance.random() < REPEAT_SHARE:
            # A client that did not see the answer sends the batch again.
            await _send(gateway, key, batch, result, expected="duplicate")
        if chance.random() < BROKEN_SHARE * BATCH:
            await _send(gateway, key, [_broken(batch[0], chance)], result, expected="quarantined")


async def _score(gateway: Gateway, key: str, event: Event, result: Sent) -> None:
    began = time.perf_counter()
    try:
        answer = await gateway.client.post(
            "/api/v2/ml/inference/fraud", content=msgspec.json.encode(event), headers={"x-api-key": key}
        )
    except httpx.HTTPError as error:
        result.fraud_failures[repr(error)] += 1  # the shop goes on without an answer; the stream scores the payment
    else:
        if answer.status_code == 200:
            result.fraud_seconds.append(time.perf_counter() - began)
        else:
            result.fraud_failures[f"{answer.status_code} {answer.text[:200]}"] += 1


async def _send(gateway: Gateway, key: str, batch: Sequence[Event], result: Sent, *, expected: str) -> None:
    retries = gateway.retries
    document = await gateway.send_batch(key, batch)
    now = time.time()
    for event, fate in zip(batch, document["results"], strict=True):
        result.sent += 1
        status = fate["status"]
        # After a retry an event may already be there: then "duplicate" is the answer to the same, first sending.
        if expected == "accepted" and status == "duplicate" and gateway.retries > retries:
            status = "accepted"
        result.fates[status] += 1
        if status == "accepted":
            result.accepted[event["event_metadata"]["event_id"]] = event
            result.arrived.setdefault(event["event_metadata"]["event_id"], now)
        if status != expected:
            result.unexpected.append(f"{event['event_metadata'].get('event_id')}: {fate}")


def _broken(event: Event, chance: random.Random) -> Event:
    """An event that must be refused, and say where it is wrong."""
    broken = copy.deepcopy(event)
    match chance.randrange(3):
        case 0:
            broken["event_metadata"]["event_id"] = "not-a-uuid"
        case 1:
            del broken["event_metadata"]["timestamp"]
        case _:
            broken["event_data"]["event_type"] = "transactoin"
    return broken
