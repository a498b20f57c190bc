"""Counting what happens to models."""

from __future__ import annotations

from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.errors import Refusal


class ModelMetrics:
    """Of this instance."""

    def __init__(self) -> None:
        self._loaded = meter().create_counter(
            "weir.fraud.model.loads", unit="{model}", description="Models that were loaded and warmed"
        )
        self._refused = meter().create_counter(
            "weir.fraud.model.refusals",
            unit="{model}",
            description="Models of the registry that were refused, by reason; the one before goes on deciding",
        )
        self._swapped = meter().create_counter(
            "weir.fraud.model.swaps", unit="{swap}", description="Changes of the champion that decides here"
        )
        self._unserved = meter().create_counter(
            "weir.fraud.model.override.misses",
            unit="{tenant}",
            description="Times that the champion decided for a tenant whose own version is not loaded",
        )
        self._compared = meter().create_counter(
            "weir.fraud.shadow.decisions",
            unit="{decision}",
            description="Decisions compared with what the shadow would have decided, by both outcomes",
        )
        self._dropped = meter().create_counter(
            "weir.fraud.shadow.dropped",
            unit="{decision}",
            description="Decisions that were not compared with the shadow: no room in the queue (full), or a fault (failed)",
        )

    def loaded(self) -> None:
        """One is ready."""
        self._loaded.add(1)

    def refused(self, reason: Refusal) -> None:
        """One is not to be used."""
        self._refused.add(1, {"weir.fraud.model.refusal": reason.value})

    def swapped(self) -> None:
        """Another champion decides."""
        self._swapped.add(1)

    def unserved(self, tenant_id: TenantId) -> None:
        """A tenant does not have its own version."""
        self._unserved.add(1, {"weir.tenant.id": tenant_id})

    def compared(self, decided: str, would: str) -> None:
        """A decision beside the shadow's."""
        self._compared.add(1, {"weir.fraud.outcome": decided, "weir.fraud.shadow.outcome": would})

    def dropped(self, count: int, why: str) -> None:
        """Decisions that no shadow looked at."""
        self._dropped.add(count, {"weir.fraud.shadow.reason": why})
