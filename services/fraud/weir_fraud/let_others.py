"""A long piece of work on the event loop, in short steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_TURNS: Final = 2
"""Of the loop, between two steps. grpc.aio takes one call from its connections in a turn at most; with one turn a step those that come in an
overload waited there, uncounted, until their deadlines had passed, and with two they come in and are refused in time (ADR 27)."""

_more: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("weir_fraud_let_others_more", default=None)


async def let_others() -> None:
    """The others of the loop have their turns; where `that_wait` says so, all that they need."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    more = _more.get()
    if more is not None:
        await more()


@contextmanager
def that_wait(until_answered: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Around work that nobody waits for: between its steps it waits for `until_answered`, too."""
    token = _more.set(until_answered)
    try:
        yield
    finally:
        _more.reset(token)
