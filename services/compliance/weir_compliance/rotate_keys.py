"""Keep the tenants' keys fresh: re-wrap what is wrapped by older ones, and destroy those whose time is over."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.privacy.rotate import Rotation
from weir_common.telemetry import meter

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 60.0
"""After the start, so that an instance that is restarted often also does its part."""
EVERY_SECONDS: Final = 6 * 3_600.0
"""A key is due once a week; the rest makes up for outages and for tenants whose rotation failed."""


class RotateKeys:
    """Runs beside the service, in every instance: two of them share the work. ``tenants`` gives those that there are now."""

    def __init__(
        self,
        rotate: Callable[[TenantId], Awaitable[Rotation]],
        destroy_old_tokens: Callable[[TenantId], Awaitable[int]],
        tenants: Callable[[], Iterable[TenantId]],
    ) -> None:
        self._rotate = rotate
        self._destroy_old_tokens = destroy_old_tokens
        self._tenants = tenants
        self._destroyed = meter().create_counter(
            "weir.vault.keys.destroyed",
            unit="{key}",
            description="Keys of tenants that were destroyed since their time was over",
        )
        self._failed = meter().create_counter(
            "weir.vault.rotations.failed", unit="{tenant}", description="Rotations that the vault did not answer for"
        )

    async def sweep(self) -> list[TenantId]:
        """Rotate every tenant's keys; gives those of which the vault did not answer. `KeyUnusable` if a key does not open."""
        failed: list[TenantId] = []
        for tenant_id in list(self._tenants()):
            try:
                rotation = await self._rotate(tenant_id)
                tokens = await self._destroy_old_tokens(tenant_id)
            except RetryError as error:
                failed.append(tenant_id)
                self._failed.add(1)
                log.warning("keys could not be rotated; again later", tenant_id=tenant_id, error=str(error))
                continue
            self._destroyed.add(len(rotation.destroyed) + tokens)
            if rotation.rewrapped or rotation.destroyed or rotation.still_needed or tokens:
                log.info(
                    "keys rotated",
                    tenant_id=tenant_id,
                    epoch=rotation.epoch,
                    rewrapped=rotation.rewrapped,
                    destroyed=list(rotation.destroyed),
                    still_needed=list(rotation.still_needed),
                    destroyed_token_keys=tokens,
                )
        return failed

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep a minute after the start and then every six hours, until ``stop``."""
        pause = FIRST_SECONDS
        while not stop.is_set():
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                await self.sweep()
                pause = EVERY_SECONDS
