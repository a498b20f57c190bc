"""A rebalance storm: strangers join the consumers' groups and leave again, every second."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from weir_common.kafka.closing import close_client
from weir_common.kafka.topics import DECISIONS, EVENTS
from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven
from weir_bench.chaos.stores import generations

GROUPS = {
    "weir.fraud.score": [EVENTS],
    "weir.anomaly.rules": [EVENTS],
    "weir.analytics.books": [EVENTS, DECISIONS],
}
_STAY_SECONDS = 1.0
_JOIN_SECONDS = 30.0


async def storm(mesh: Mesh, fault: Fault) -> Evidence:
    """Proven by the generations that the consumers took: more than one for each group."""
    before = await generations(mesh)
    deadline = time.monotonic() + fault.seconds
    visits = await asyncio.gather(*(_visit(mesh, group, topics, deadline) for group, topics in GROUPS.items()))
    since = time.monotonic()
    after = await generations(mesh)
    taken = {group: after[group] - before[group] for group in GROUPS}
    if min(taken.values()) < 2:
        raise NotProven(f"partitions changed hands too seldom: {taken}")
    return Evidence(f"{sum(visits)} visits, partitions taken anew: {taken}", since)


async def _visit(mesh: Mesh, group: str, topics: list[str], deadline: float) -> int:
    """Join, be given partitions, leave, again; commits nothing. Gives how often."""
    visits = 0
    while time.monotonic() < deadline:
        stranger = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}",
            group_id=group,
            client_id="chaos-stranger",
            enable_auto_commit=False,
            session_timeout_ms=10_000,
        )
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await stranger.start()
                await stranger.getmany(timeout_ms=int(_STAY_SECONDS * 1000), max_records=1)
            visits += 1
        except (KafkaError, TimeoutError) as error:
            print(f"  a stranger could not join {group}: {error!r}", flush=True)
        finally:
            await close_client(stranger.stop, client="chaos-stranger")
        await asyncio.sleep(_STAY_SECONDS)
    return visits
