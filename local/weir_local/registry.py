"""Every component of the native mesh, in the order in which people read them."""

from __future__ import annotations

from weir_local.component import Component
from weir_local.components.gateway import Gateway
from weir_local.components.kafka import Kafka
from weir_local.components.postgres import Postgres
from weir_local.components.service import weir_service
from weir_local.components.temporal import Temporal
from weir_local.components.traces import Traces
from weir_local.components.valkey import Valkey
from weir_local.environment import SERVICES
from weir_local.mesh import Mesh


def components(mesh: Mesh) -> list[Component]:
    """The components of this mesh; with ``mesh.kubernetes`` also the control plane."""
    chosen: list[Component] = [Postgres(), Valkey(), Kafka(), Temporal(), Traces()]
    if mesh.kubernetes:
        from weir_local.kubernetes import control_plane  # only here: its build needs Go

        chosen += control_plane()
    chosen += [weir_service(service) for service in SERVICES]
    chosen.append(Gateway())
    return chosen
