"""Who else sends, just now."""

from __future__ import annotations

from collections.abc import Callable

from weir_common.ids import TenantId


class Company:
    """``see`` whoever comes; ``of`` says whether anybody but this tenant came within ``seconds``. ``clock`` gives those from anywhere."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._latest: tuple[TenantId | None, float] = (None, float("-inf"))
        self._other: float = float("-inf")
        """When a tenant other than the latest was seen last."""

    def see(self, tenant_id: TenantId) -> None:
        """It came now."""
        latest, when = self._latest
        if latest is not None and latest != tenant_id:
            self._other = when
        self._latest = (tenant_id, self._clock())

    def of(self, tenant_id: TenantId) -> bool:
        """Whether it has company."""
        latest, when = self._latest
        return self._clock() - (self._other if latest == tenant_id else when) < self._seconds
