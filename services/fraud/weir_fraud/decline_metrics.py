"""Counting declines and their halts."""

from __future__ import annotations

from weir_common.ids import TenantId
from weir_common.telemetry import meter


class DeclineMetrics:
    """Of this instance; what is told of a tenant is the same in all that have its payments."""

    def __init__(self) -> None:
        self._share = meter().create_gauge(
            "weir.fraud.declines.share",
            unit="1",
            description="Share of declines among a tenant's decisions of its corridor's window, would-be declines of a halt among them",
        )
        self._below = meter().create_gauge(
            "weir.fraud.declines.below_floor",
            unit="{tenant}",
            description="1 while a tenant's share of declines is below its floor",
        )
        self._halted = meter().create_gauge(
            "weir.fraud.declines.halted", unit="{tenant}", description="1 while a tenant's declines are halted"
        )
        self._halts = meter().create_counter(
            "weir.fraud.declines.halts",
            unit="{halt}",
            description="Times that a tenant's share of declines left its corridor",
        )
        self._held = meter().create_counter(
            "weir.fraud.declines.held", unit="{decision}", description="Reviews that would have been declines"
        )
        self._lost = meter().create_counter(
            "weir.fraud.declines.uncounted", unit="{decision}", description="Decisions whose tally could not be kept"
        )

    def share(self, tenant_id: TenantId, share: float, below_floor: bool) -> None:
        """Of enough decisions."""
        self._share.set(share, {"weir.tenant.id": tenant_id})
        self._below.set(int(below_floor), {"weir.tenant.id": tenant_id})

    def halted(self, tenant_id: TenantId, halted: bool) -> None:
        """As it was read."""
        self._halted.set(int(halted), {"weir.tenant.id": tenant_id})

    def tripped(self, tenant_id: TenantId) -> None:
        """By this instance."""
        self._halts.add(1, {"weir.tenant.id": tenant_id})

    def held(self, tenant_id: TenantId) -> None:
        """A decision."""
        self._held.add(1, {"weir.tenant.id": tenant_id})

    def lost(self, count: int) -> None:
        """Because nothing could be written for long."""
        self._lost.add(count)
