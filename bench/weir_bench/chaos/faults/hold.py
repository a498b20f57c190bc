"""SIGSTOP of a component with all its children, and SIGCONT: a paused machine, a long collection, a frozen disk."""

from __future__ import annotations

import asyncio
import signal
import time

from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven, family, identity_of, is_stopped, signal_all


async def hold(mesh: Mesh, fault: Fault) -> Evidence:
    """Recovery counts from SIGCONT."""
    root = identity_of(mesh, fault.target)
    held = family(root)
    try:
        signal_all(held, signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        still = is_stopped(root)
    finally:
        signal_all(held, signal.SIGCONT)
    since = time.monotonic()
    if not still:
        raise NotProven(f"{fault.target} (pid {root.pid}) was not held to the end")
    return Evidence(f"{fault.target}: {len(held)} process(es) in state T for {fault.seconds:.1f} s", since)
