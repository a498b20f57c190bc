"""The next thing is made while this one is worked on: one, and no more, so that what is held has a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

_Thing = TypeVar("_Thing")


async def read_ahead(things: AsyncIterator[_Thing]) -> AsyncGenerator[_Thing, None]:
    """The same things in the same order. What making one raises is raised when it is asked for; whoever stops asking ends the making too.

    Close it (`contextlib.aclosing`), or what is being made is left to the loop.
    """
    coming = asyncio.ensure_future(_next(things))
    try:
        while (made := await coming) is not None:
            coming = asyncio.ensure_future(_next(things))
            yield made[0]
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        if not coming.cancelled():
            # Raised above, or nobody waits for it any more: not to be reported as never looked at.
            coming.exception()
        if isinstance(things, AsyncGenerator):
            await things.aclose()


async def _next(things: AsyncIterator[_Thing]) -> tuple[_Thing] | None:
    # A task may not end with StopAsyncIteration.
    try:
        return (await anext(things),)
    except StopAsyncIteration:
        return None
