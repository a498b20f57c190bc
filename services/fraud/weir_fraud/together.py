"""What comes while others are at work is done together, when one of them is through.

Each piece of work costs much once and little more for each further payment: round trips, statements, calls of libraries. So the busier the
service, the more it does at once, and the less each costs; a call that comes while there is room waits for nobody. The same is known from
databases as group commit (DeWitt et al., Implementation Techniques for Main Memory Database Systems, SIGMOD 1984).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from weir_common.errors import RetryError
from weir_common.problems import Problem

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_OF_ALL: Final = (RetryError, Problem, TimeoutError)
"""Failures that would meet each item alone just the same."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[_Key, _Item, _Answer]):
    key: _Key
    item: _Item
    answer: asyncio.Future[_Answer]
    context: Context
    group: _Group[_Key, _Item, _Answer] | None = None


@dataclass(slots=True, eq=False)
class _Group(Generic[_Key, _Item, _Answer]):
    members: list[_Waiting[_Key, _Item, _Answer]]
    task: asyncio.Task[None] | None = field(default=None)


class Together(Generic[_Key, _Item, _Answer]):
    """`work` gets the items of one key and gives an answer to each, in order, or the error that is that item's own.

    At most `at_once` pieces of work run, each of at most `most` items. An item goes alone and at once where there is room; else it waits,
    the longest first, and takes those with its key along. Whoever asks brings the deadline: what waits is dropped with its caller, and a
    group without callers is cancelled. When the work fails for all of a group, and not for a reason that would meet each, each is done alone.
    """

    def __init__(
        self,
        work: Callable[[_Key, Sequence[_Item]], Awaitable[Sequence[_Answer | Exception]]],
        *,
        at_once: int,
        most: int,
    ) -> None:
        self._work = work
        self._at_once = at_once
        self._most = most
        self._running = 0
        self._queue: deque[_Waiting[_Key, _Item, _Answer]] = deque()
        self._groups: set[_Group[_Key, _Item, _Answer]] = set()

    @property
    def waiting(self) -> int:
        """Items that wait for their turn."""
        return len(self._queue)

    @property
    def at_work(self) -> int:
        """Pieces of work that run."""
        return self._running

    async def __call__(self, key: _Key, item: _Item) -> _Answer:
        if self._running < self._at_once:
            self._running += 1
            try:
                (answer,) = await self._work(key, [item])
            finally:
                self._through()
            if isinstance(answer, Exception):
                raise answer
            return answer
        waiting: _Waiting[_Key, _Item, _Answer] = _Waiting(
            key, item, asyncio.get_running_loop().create_future(), copy_context()
        )
        self._queue.append(waiting)
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            self._gone(waiting)
            raise

    def _gone(self, waiting: _Waiting[_Key, _Item, _Answer]) -> None:
        group = waiting.group
        if group is None:
            self._queue.remove(waiting)
        elif group.task is not None and all(member.answer.done() for member in group.members):
            group.task.cancel()

    def _through(self) -> None:
        """One piece of work is done, and the next has its turn."""
        self._running -= 1
        while self._queue and self._running < self._at_once:
            self._start()

    def _start(self) -> None:
        first = self._queue[0]
        group = _Group([one for one in self._queue if one.key == first.key][: self._most])
        for member in group.members:
            member.group = group
        self._queue = deque(one for one in self._queue if one.group is None)
        self._running += 1
        self._groups.add(group)
        # In the context of who has waited longest: its trace has the statements.
        group.task = asyncio.create_task(self._answer(group.members), context=first.context)
        # Not in the task itself: one that is cancelled before its first step never runs, and would keep its turn for ever.
        group.task.add_done_callback(lambda _: self._ended(group))

    def _ended(self, group: _Group[_Key, _Item, _Answer]) -> None:
        self._groups.discard(group)
        for member in group.members:
            # Only where the work itself was cut off are there any left.
            member.answer.cancel()
        self._through()

    async def _answer(self, members: Sequence[_Waiting[_Key, _Item, _Answer]]) -> None:
        try:
            answers = await self._work(members[0].key, [member.item for member in members])
        except Exception as error:  # noqa: BLE001 - each of them is given it, or asks alone
            if len(members) > 1 and not isinstance(error, _OF_ALL):
                for member in members:
                    if not member.answer.done():
                        await self._answer([member])
                return
            for member in members:
                if not member.answer.done():
                    member.answer.set_exception(error)
            return
        for member, answer in zip(members, answers, strict=True):
            if member.answer.done():
                continue
            if isinstance(answer, Exception):
                member.answer.set_exception(answer)
            else:
                member.answer.set_result(answer)
