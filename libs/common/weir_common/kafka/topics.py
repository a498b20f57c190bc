"""Every topic of the mesh: one owner each, named ``weir.<context>.<thing>.v<N>``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from weir_common.errors import RetryError
from weir_common.kafka.closing import close_client
from weir_common.settings import KafkaSettings

EVENTS = "weir.ingest.events.v2"
QUARANTINE = "weir.ingest.quarantine.v2"
REFUSED = "weir.ingest.refused.v1"
DECISIONS = "weir.fraud.decisions.v1"
LABELS = "weir.fraud.labels.v1"
FINDINGS = "weir.anomaly.findings.v1"
AUDIT = "weir.compliance.audit.v1"
ERASURE = "weir.compliance.erasure.v1"
TENANTS = "weir.admin.tenants.v1"
REQUESTS = "weir.ops.requests.v1"
PROGRESS = "weir.ops.progress.v1"
LEDGER = "weir.ops.ledger.v1"

EVENT_PARTITIONS = 12

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class TopicSpec:
    """How a topic is made; ``retention_days`` is ignored for compacted topics."""

    name: str
    partitions: int
    retention_days: float = 7
    compacted: bool = False
    configs: dict[str, str] = field(default_factory=dict)

    def topic_configs(self) -> dict[str, str]:
        """Broker settings. Segments roll hourly, since retention counts from the end of a segment."""
        if self.compacted:
            # New records must be compacted away soon, but a reader gets a day to see each tombstone.
            return {
                "cleanup.policy": "compact",
                "segment.ms": "3600000",
                "min.cleanable.dirty.ratio": "0.1",
                **self.configs,
            }
        return {"retention.ms": str(int(self.retention_days * _DAY_MS)), "segment.ms": "3600000", **self.configs}


TOPICS: tuple[TopicSpec, ...] = (
    TopicSpec(EVENTS, EVENT_PARTITIONS),
    TopicSpec(QUARANTINE, 3, retention_days=30),
    TopicSpec(REFUSED, 3),
    TopicSpec(DECISIONS, EVENT_PARTITIONS),
    TopicSpec(LABELS, EVENT_PARTITIONS),
    TopicSpec(FINDINGS, 3),
    TopicSpec(AUDIT, 1, retention_days=30),
    TopicSpec(ERASURE, 1, compacted=True),
    TopicSpec(TENANTS, 1, compacted=True),
    TopicSpec(REQUESTS, 3, retention_days=2),
    TopicSpec(PROGRESS, 1, retention_days=0.25),
    TopicSpec(LEDGER, 3),
)


async def ensure_topics(
    settings: KafkaSettings, topics: tuple[TopicSpec, ...] = TOPICS, *, timeout: float = 30.0
) -> None:
    """Create what is missing; a topic that exists is left as it is. ``RetryError`` when the broker does not answer."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers, request_timeout_ms=int(settings.request_timeout_seconds * 1000)
    )
    try:
        async with asyncio.timeout(timeout):
            await admin.start()
            present = set(await admin.list_topics())
            missing = [
                NewTopic(
                    name=topic.name,
                    num_partitions=topic.partitions,
                    replication_factor=settings.replication_factor,
                    topic_configs=topic.topic_configs(),
                )
                for topic in topics
                if topic.name not in present
            ]
            for new_topic in missing:
                # One by one: services start together, and another may win the race for some of them.
                try:
                    await admin.create_topics([new_topic])
                except TopicAlreadyExistsError:
                    continue
    except (KafkaError, TimeoutError) as error:
        raise RetryError(f"Kafka at {settings.bootstrap_servers} did not create the topics: {error!r}") from error
    finally:
        await close_client(admin.close, client="topics")
