"""Ending a Kafka client never ends its owner, unless the owner itself is being ended."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError
from weir_common.kafka.closing import close_client


async def lets_out_the_cancellation_of_its_own_task() -> None:
    own = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    own.cancel()
    await own


async def never_ends() -> None:
    await asyncio.sleep(60)


async def fails() -> None:
    raise KafkaConnectionError("away")


@pytest.mark.parametrize("close", [lets_out_the_cancellation_of_its_own_task, never_ends, fails])
async def test_what_a_client_does_at_its_end_is_not_its_owners_end(close: object) -> None:
    async with asyncio.timeout(2):
        await close_client(close, client="test", seconds=0.05)  # type: ignore[arg-type]


async def test_a_deadline_around_it_stays_in_force() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await close_client(never_ends, client="test", seconds=60)


async def test_our_own_cancellation_is_passed_on() -> None:
    closing = asyncio.create_task(close_client(never_ends, client="test", seconds=60))
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
