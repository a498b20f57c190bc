"""Which events the archive took in the last 15 minutes of the log: 8 bytes each, sorted by commit, looked up in bulk.

The same guard as the duplicate window of the other consumers, in a twelfth of its memory, and with the log's own clock: what was
accepted within 15 minutes of each other can be a repeat, however long the archive was down in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from weir_analytics.domain.facts import MICROSECONDS, Microseconds

WINDOW = 15 * 60 * MICROSECONDS
_LONGEST_RUN = 60 * MICROSECONDS

Ids = npt.NDArray[np.uint64]


def id64(tenant_id: str, event_id: str) -> int:
    """64 bits that stand for (tenant, event id)."""
    return int.from_bytes(blake2b(f"{tenant_id}\0{event_id}".encode(), digest_size=8).digest(), "big")


class RecentIds:
    """A set that forgets.

    Each ``add`` is a sorted run; a look-up searches all of them. So neighbours of about one size become one, as long as a run does not span
    more than a minute: else a look-up would search the two thousand runs of 15 minutes, and what is old could not be forgotten.
    """

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()

    def __len__(self) -> int:
        return sum(run.ids.size for run in self._runs)

    @property
    def runs(self) -> int:
        """How many are searched."""
        return len(self._runs)

    def add(self, ids: Iterable[int], accepted_at: Microseconds) -> None:
        """Remember ids of records accepted up to then, and forget those of 15 minutes before."""
        newest = _Run(accepted_at, accepted_at, np.unique(np.fromiter(ids, dtype=np.uint64)))
        while self._runs and newest.takes(self._runs[-1]):
            newest = newest.merged(self._runs.pop())
        self._runs.append(newest)
        while self._runs and self._runs[0].until < accepted_at - WINDOW:
            self._runs.popleft()

    def fresh(self, ids: list[int]) -> list[bool]:
        """For each id in order, whether it is new: not remembered, and not earlier in the list."""
        asked = np.fromiter(ids, dtype=np.uint64, count=len(ids))
        new = np.zeros(asked.size, dtype=np.bool_)
        new[np.unique(asked, return_index=True)[1]] = True
        for run in self._runs:
            place = np.searchsorted(run.ids, asked)
            place[place == run.ids.size] = 0
            if run.ids.size:
                new &= run.ids[place] != asked
        return [bool(each) for each in new]


@dataclass(frozen=True, slots=True)
class _Run:
    """Ids of records accepted since then and until then, sorted."""

    since: Microseconds
    until: Microseconds
    ids: Ids

    def takes(self, older: _Run) -> bool:
        """Whether the two become one. Sizes double from run to run, so that no id is sorted anew more than a few times."""
        return older.ids.size < 2 * self.ids.size and abs(self.until - older.since) <= _LONGEST_RUN

    def merged(self, older: _Run) -> _Run:
        return _Run(min(self.since, older.since), max(self.until, older.until), np.union1d(older.ids, self.ids))
