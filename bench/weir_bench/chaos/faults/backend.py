"""kill -9 of one PostgreSQL backend of one of our services: the server ends all sessions and recovers from its log."""

from __future__ import annotations

import signal
import time

from weir_local.mesh import Mesh
from weir_local.processes import Identity

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven, gone, signal_all
from weir_bench.chaos.stores import superuser

_BUSIEST = (
    "SELECT pid, usename FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename LIKE 'weir\\_%' "
    "ORDER BY state = 'active' DESC, state_change DESC LIMIT 1"
)


async def kill_backend(mesh: Mesh, fault: Fault) -> Evidence:
    """The session that was used last, so that a transaction is likely to be open."""
    async with superuser(mesh) as connection:
        row = await connection.fetchrow(_BUSIEST)
    backend = Identity.of(row["pid"]) if row is not None else None
    if row is None or backend is None:
        raise NotProven("no service had a session")
    since = time.monotonic()
    signal_all([backend], signal.SIGKILL)
    if not await gone(backend):
        raise NotProven(f"backend {backend.pid} lives after SIGKILL")
    return Evidence(f"backend {backend.pid} of {row['usename']} gone", since)
