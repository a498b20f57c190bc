"""Callers' events protected together when many come at once: the vault is asked once for those of a tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from weir_common.events import Event
from weir_common.ids import TenantId
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import Unavailable
from weir_common.telemetry import is_sampled

from weir_fraud.settings import ScoringSettings
from weir_fraud.together import Together

_AT_ONCE: Final = 2
"""One asks the vault while another is computed."""


class _Key(NamedTuple):
    tenant_id: TenantId
    alone: Hashable = None


class ProtectTogether:
    """As `ProtectEvents`, for who waits: within the time and the number of calls that a decision has."""

    def __init__(self, protect: ProtectEvents, limits: ScoringSettings) -> None:
        self._protect = protect
        self._limits = limits
        self._together: Together[_Key, Sequence[Event], list[Event]] = Together(
            self._of_calls, at_once=_AT_ONCE, most=limits.max_together
        )

    async def __call__(self, tenant_id: TenantId, events: Sequence[Event]) -> list[Event]:
        """The events as the log may have them, in order. `VaultUnavailable`, also when it takes too long; `Unavailable` when too many wait."""
        if self._together.waiting >= self._limits.max_waiting:
            raise Unavailable("Too many payments wait to be scored.", slug="overloaded")
        # A batch is large enough by itself, and one whose trace is recorded has its own spans.
        alone = object() if len(events) > 1 or is_sampled() else None
        try:
            async with asyncio.timeout(self._limits.deadline_seconds):
                return await self._together(_Key(tenant_id, alone), events)
        except TimeoutError as error:
            raise VaultUnavailable(f"the vault did not answer in {self._limits.deadline_seconds} s") from error

    async def _of_calls(self, key: _Key, calls: Sequence[Sequence[Event]]) -> list[list[Event]]:
        protected = iter(await self._protect(key.tenant_id, list(chain.from_iterable(calls))))
        return [[next(protected) for _ in events] for events in calls]
