"""The relay while its stores are away: it waits, and gives the log up before PostgreSQL gives it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest
from weir_common.errors import RetryError
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import OutboxRelay

IDLE_IN_TRANSACTION_SECONDS = 10.0
"""As ``postgres_pool`` sets it at its default statement timeout."""


class LostSession:
    """A pool whose first session the server ended while nobody listened; then it asks the relay to stop."""

    def __init__(self, error: Exception, stop: asyncio.Event) -> None:
        self.acquired = 0
        self._error, self._stop = error, stop

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator[Any]:
        self.acquired += 1
        if self.acquired > 1:
            self._stop.set()
        raise self._error
        yield


@pytest.mark.parametrize(
    "error",
    [asyncpg.InternalClientError("cannot switch to state 15"), OSError("reset"), asyncpg.InterfaceError("gone")],
)
async def test_a_session_that_the_server_ended_is_waited_out(error: Exception) -> None:
    stop = asyncio.Event()
    pool = LostSession(error, stop)
    async with asyncio.timeout(5):
        await OutboxRelay(cast(Any, pool), "t", cast(KafkaPublisher, None)).run(stop)
    assert pool.acquired == 3  # failed, failed again, and once more at the stop


class Row(dict[str, Any]):
    """One row of the outbox."""


class OneRow:
    """A pool with one record that waits."""

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator[Any]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetchval(self, *_: Any) -> bool:
        return True

    async def fetch(self, *_: Any) -> list[Row]:
        return [Row(id=1, topic="t", key=b"k", value=b"v", headers="{}", partition=None)]


class Silent:
    """A log that does not answer; remembers how long it was waited for."""

    timeout: float | None = None

    async def publish_all(self, records: Sequence[OutgoingRecord], *, timeout: float | None = None) -> None:
        self.timeout = timeout
        raise RetryError("no acknowledgement")


async def test_the_log_is_given_up_before_the_transaction_is() -> None:
    log = Silent()
    with pytest.raises(RetryError):
        await OutboxRelay(cast(Any, OneRow()), "t", cast(KafkaPublisher, log)).relay_once()
    assert log.timeout is not None
    assert log.timeout < IDLE_IN_TRANSACTION_SECONDS
