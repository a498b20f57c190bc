"""A long piece of work on the event loop, in short steps."""

from __future__ import annotations

import asyncio
from typing import Final

_TURNS: Final = 2
"""Of the loop, between two steps. grpc.aio takes one call from its connections in a turn at most; with one turn a step those that come in an
overload waited there, uncounted, until their deadlines had passed, and with two they come in and are refused in time (ADR 27)."""


async def let_others() -> None:
    """The others of the loop have their turns."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
