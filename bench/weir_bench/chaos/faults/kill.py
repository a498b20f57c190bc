"""kill -9 of a component, PostgreSQL by its postmaster; then an operator starts it again."""

from __future__ import annotations

import asyncio
import signal
import time

from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven, gone, identity_of, signal_all, start


async def kill(mesh: Mesh, fault: Fault) -> Evidence:
    """Recovery counts from the kill, so it includes the operator's time and the start."""
    victim = identity_of(mesh, fault.target)
    since = time.monotonic()
    signal_all([victim], signal.SIGKILL)
    if not await gone(victim):
        raise NotProven(f"{fault.target} (pid {victim.pid}) lives after SIGKILL")
    await asyncio.sleep(fault.seconds)
    await start(mesh, [fault.target])
    successor = identity_of(mesh, fault.target)
    return Evidence(f"{fault.target}: pid {victim.pid} gone, {successor.pid} in its place", since)
