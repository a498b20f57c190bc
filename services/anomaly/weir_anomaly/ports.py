"""What anomaly needs from the outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction

from weir_anomaly.domain.engine import Held, StateKey
from weir_anomaly.domain.entity import Entity
from weir_anomaly.domain.finding import Finding
from weir_anomaly.domain.severity import Severity


class CaseFiles(Protocol):
    """States and findings of one tenant, inside the running transaction."""

    async def states(self, keys: Collection[StateKey]) -> Mapping[StateKey, Held]:
        """Those that exist, with their versions."""
        ...

    async def save_states(self, states: Mapping[StateKey, Held]) -> None:
        """Store them, each over the version that it was made from. ``StateConflict`` (retry) if one has been written since."""
        ...

    async def findings(
        self, keys: Collection[StateKey], entities: Collection[Entity], quiet_before: float
    ) -> list[Finding]:
        """The latest finding of each key, open ones on the entities, and some open ones that are quiet by then."""
        ...

    async def save_findings(self, findings: Sequence[Finding]) -> None: ...


OpenCaseFiles = Callable[[Transaction, TenantId], CaseFiles]
"""Opens a tenant's case files in a transaction that was switched to the tenant."""


class FindingReader(Protocol):
    """Findings for people."""

    async def page(
        self,
        tenant_id: TenantId,
        *,
        states: Sequence[str],
        severities: Sequence[Severity],
        rules: Sequence[str],
        after: tuple[float, str] | None,
        limit: int,
    ) -> list[Finding]:
        """Newest first; ``after`` is (opened_at, finding id) of the last one seen."""
        ...

    async def get(self, tenant_id: TenantId, finding_id: UUID) -> Finding | None: ...

    async def of_subjects(self, tenant_id: TenantId, subjects: Sequence[str]) -> list[Finding]: ...
