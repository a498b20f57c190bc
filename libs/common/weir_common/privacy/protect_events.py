"""Protect a batch of one tenant's events: who they are about is asked in one go, the rest is `protect`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from weir_common.events.event import Event
from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.identifiers import identifiers_of
from weir_common.privacy.link_tokens import LinkTokens
from weir_common.privacy.ports import SubjectVault
from weir_common.privacy.protect import protect
from weir_common.telemetry import meter

_EVENTS_A_STEP = 2


async def _next_turn() -> None:
    await asyncio.sleep(0)


class TokenKeys(Protocol):
    """Makes a tenant's link tokens; `TenantKeys` is one. May raise `VaultUnavailable`."""

    async def link_tokens(self, tenant_id: TenantId) -> LinkTokens:
        """Those of the present period."""


class ProtectEvents:
    """The use case of whoever takes events in. `timeout_seconds` is for the vault, however many questions it is asked."""

    def __init__(
        self, vault: SubjectVault, keys: TokenKeys, clock: Callable[[], datetime], *, timeout_seconds: float = 5.0
    ) -> None:
        self._vault = vault
        self._keys = keys
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._failures = meter().create_counter(
            "weir.vault.failures",
            unit="{batch}",
            description="Batches that were not protected since the vault was away",
        )

    async def __call__(
        self, tenant_id: TenantId, events: Sequence[Event], *, step: Callable[[], Awaitable[None]] = _next_turn
    ) -> list[Event]:
        """The events as the log may have them, in order; those that came in stay as they are.

        ``step`` is awaited after every two: the others of the loop have their turn.

        Who is not known becomes a subject. `VaultUnavailable`: none was protected, none may be kept; they can be sent again.
        """
        if not events:
            return []
        now = self._clock()
        identifiers = [identifiers_of(event, now) for event in events]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                subjects = await self._vault.resolve(tenant_id, [one for own in identifiers for one in own])
                tokens = await self._keys.link_tokens(tenant_id)
        except VaultUnavailable:
            self._failures.add(1)
            raise
        except TimeoutError as error:
            self._failures.add(1)
            raise VaultUnavailable(f"the vault did not answer in {self._timeout_seconds} s") from error
        except KeyDestroyed as error:
            # A rotation re-wrapped the tenant's keys and destroyed the older one while they were read: next time they open.
            self._failures.add(1)
            raise VaultUnavailable("the tenant's keys were rotated while they were read") from error
        protected: list[Event] = []
        for event, own in zip(events, identifiers, strict=True):
            if len(protected) % _EVENTS_A_STEP == _EVENTS_A_STEP - 1:
                await step()
            protected.append(protect(event, own, subjects, tokens))
        return protected
