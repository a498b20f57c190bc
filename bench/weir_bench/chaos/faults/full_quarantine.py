"""A quarantine that takes nothing: what cannot be read must make its consumers stop loudly, and go on after an operator's restart."""

from __future__ import annotations

import asyncio
import time

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from weir_common.kafka.closing import close_client
from weir_common.kafka.topics import QUARANTINE, TOPICS
from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.faults.poison import ASIDE_SECONDS, write_poison, wrongly_aside
from weir_bench.chaos.plan import Fault
from weir_bench.chaos.servers import NotProven, dead, start

STOP_SECONDS = 120.0
"""Above the framework's own minute of attempts."""
READERS = frozenset({"fraud", "anomaly", "analytics"})
_ADMIN_SECONDS = 15.0


async def fill_quarantine(mesh: Mesh, fault: Fault) -> Evidence:
    """One unreadable record. Recovery counts from the moment at which the quarantine takes records again."""
    await _limit(mesh, {"max.message.bytes": "1"})
    try:
        _, sources = await write_poison(mesh, 1)
        stopped = await _stopped(mesh)
    finally:
        await _limit(mesh, {})
    since = time.monotonic()
    wrong = [f"{name} went on although it could not put aside" for name in sorted(READERS - stopped)]
    wrong += [f"{name} stopped, too" for name in sorted(stopped - READERS)]
    if not stopped:
        raise NotProven("no consumer stopped: was the quarantine full?")
    await start(mesh, sorted(stopped))
    wrong += await wrongly_aside(mesh, sources, ASIDE_SECONDS)
    return Evidence(f"{', '.join(sorted(stopped))} stopped at {sources[0]} and were started again", since, wrong)


async def _stopped(mesh: Mesh) -> set[str]:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and not set(dead(mesh)) >= READERS:  # noqa: ASYNC110 - it is other processes that end
        await asyncio.sleep(0.5)
    return set(dead(mesh))


async def _limit(mesh: Mesh, more: dict[str, str]) -> None:
    """Set the topic's own settings; Kafka takes the whole set at once."""
    usual = next(topic.topic_configs() for topic in TOPICS if topic.name == QUARANTINE)
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{mesh.port('kafka')}")
    try:
        async with asyncio.timeout(_ADMIN_SECONDS):
            await admin.start()
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, QUARANTINE, {**usual, **more})])
    finally:
        await close_client(admin.close, client="chaos-quarantine")
