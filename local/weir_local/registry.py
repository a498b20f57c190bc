"""Every component of the native mesh, in the order in which people read them."""

from __future__ import annotations

from importlib.util import find_spec

from weir_local.component import Component
from weir_local.components.gateway import Gateway
from weir_local.components.kafka import Kafka
from weir_local.components.links import Links
from weir_local.components.postgres import Postgres
from weir_local.components.service import weir_service
from weir_local.components.temporal import Temporal
from weir_local.components.traces import Traces
from weir_local.components.valkey import Valkey
from weir_local.environment import SERVICES
from weir_local.mesh import Mesh


def components(mesh: Mesh) -> list[Component]:
    """The components of this mesh; with ``mesh.kubernetes`` also the control plane, with ``mesh.links`` the proxies."""
    chosen: list[Component] = [Postgres(), Valkey(), Kafka(), Temporal(), Traces()]
    if mesh.links:
        chosen.append(Links())
    if mesh.kubernetes:
        from weir_local.kubernetes import control_plane  # only here: most starts do without it

        chosen += control_plane()
    chosen += [weir_service(service) for service in SERVICES]
    chosen.append(Gateway())
    return chosen


def control_plane_exists() -> bool:
    """Whether this installation can run a control plane at all."""
    spec = find_spec("weir_local.kubernetes")
    return spec is not None and spec.origin is not None
