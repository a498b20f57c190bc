"""The states that were used last, so that a micro-batch reads only what it does not know.

Two instances may hold the same state, since an entity's events can lie on partitions of both. A state therefore carries the
version of its row: a write names the version that it read and fails if the row has another one (see ``PostgresCaseFiles``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from weir_common.ids import TenantId

from weir_anomaly.domain.engine import Held, StateKey


class StateCache:
    """At most ``entries`` states, least recently used ones forgotten first. Holds committed states only."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._held: OrderedDict[tuple[TenantId, StateKey], Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, tenant_id: TenantId, keys: Iterable[StateKey]) -> dict[StateKey, Held]:
        """Those that are known."""
        found: dict[StateKey, Held] = {}
        for key in keys:
            place = (tenant_id, key)
            held = self._held.get(place)
            if held is not None:
                self._held.move_to_end(place)
                found[key] = held
        return found

    def put(self, tenant_id: TenantId, states: Mapping[StateKey, Held]) -> None:
        """Remember what was read or what a committed transaction wrote."""
        for key, held in states.items():
            place = (tenant_id, key)
            self._held[place] = held
            self._held.move_to_end(place)
        while len(self._held) > self._entries:
            self._held.popitem(last=False)

    def drop(self, tenant_id: TenantId, keys: Iterable[StateKey]) -> None:
        """Forget what turned out to be old."""
        for key in keys:
            self._held.pop((tenant_id, key), None)

    def clear(self) -> None:
        """Forget all: partitions have moved between instances."""
        self._held.clear()
