"""What is done to the mesh, a module a kind. Each proves that it happened, or raises ``NotProven``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from weir_local.mesh import Mesh

from weir_bench.chaos.faults.backend import kill_backend
from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.faults.full_quarantine import fill_quarantine
from weir_bench.chaos.faults.hold import hold
from weir_bench.chaos.faults.kill import kill
from weir_bench.chaos.faults.link import disturb
from weir_bench.chaos.faults.poison import poison
from weir_bench.chaos.faults.storm import storm
from weir_bench.chaos.plan import Fault, Kind

__all__ = ["Evidence", "inflict"]

_DOERS: dict[Kind, Callable[[Mesh, Fault], Awaitable[Evidence]]] = {
    Kind.KILL: kill,
    Kind.HOLD: hold,
    Kind.BACKEND: kill_backend,
    Kind.LINK: disturb,
    Kind.STORM: storm,
    Kind.POISON: poison,
    Kind.FULL_QUARANTINE: fill_quarantine,
}


async def inflict(mesh: Mesh, fault: Fault) -> Evidence:
    """Do it, to its end. Raises ``NotProven``; ``DoesNotStart`` when what was killed does not come back."""
    return await _DOERS[fault.kind](mesh, fault)
