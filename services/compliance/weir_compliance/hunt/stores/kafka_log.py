"""Kafka through a consumer: every record of every topic, also the internal ones, as the broker decodes its batches."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from weir_common.kafka.closing import close_client

from weir_compliance.hunt.files import unpacked
from weir_compliance.hunt.ports import Piece, UnreadableError

_REQUEST_MS: Final = 10_000
_STILL_SECONDS: Final = 20.0
"""Without a record and without moving on for so long, a partition is not going to be read to its end."""


class KafkaLog:
    """Keys, values and headers up to the end that each partition has when the hunt begins."""

    name = "kafka"

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        partitions = await self._partitions()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,  # it must leave no offsets behind
            enable_auto_commit=False,
            request_timeout_ms=_REQUEST_MS,
            max_partition_fetch_bytes=4 << 20,
            exclude_internal_topics=False,
        )
        try:
            await consumer.start()
            consumer.assign(partitions)
            async with asyncio.timeout(60):
                ends = await consumer.end_offsets(partitions)
                starts = await consumer.beginning_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, starts[partition])
            left = {partition for partition in partitions if starts[partition] < ends[partition]}
            consumer.pause(*(partition for partition in partitions if partition not in left))
            moved = time.monotonic()
            while left:
                if time.monotonic() - moved > _STILL_SECONDS:
                    names = ", ".join(sorted(f"{one.topic}/{one.partition}" for one in left))
                    raise UnreadableError(f"no record for {_STILL_SECONDS:.0f} s before the end of {names}")
                async with asyncio.timeout(_STILL_SECONDS):
                    batches = await consumer.getmany(*left, timeout_ms=500, max_records=500)
                for records in batches.values():
                    moved = time.monotonic()
                    for record in records:
                        for piece in _of_record(record, overlap):
                            yield piece
                for partition in list(left):
                    async with asyncio.timeout(5):
                        # Compacted away records and transaction markers are passed without being handed out.
                        position = await consumer.position(partition)
                    if position >= ends[partition]:
                        left.discard(partition)
                        consumer.pause(partition)
        finally:
            await close_client(consumer.stop, client="hunt")

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=_REQUEST_MS)
        try:
            async with asyncio.timeout(60):
                await admin.start()
                topics = await admin.describe_topics(await admin.list_topics())
        finally:
            await close_client(admin.close, client="hunt")
        return sorted(TopicPartition(one["topic"], part["partition"]) for one in topics for part in one["partitions"])


def _of_record(record: Any, overlap: int) -> list[Piece]:
    at = f"partition {record.partition} offset {record.offset}"
    parts = [
        ("key", record.key),
        ("value", record.value),
        *((f"header {name}", value) for name, value in record.headers),
    ]
    pieces: list[Piece] = []
    for number, (part, data) in enumerate(parts):
        if data:
            where = f"{record.topic} {part}"
            pieces.append(Piece(where, at, data, unit=number == 0 or not pieces))
            pieces += unpacked(data, where, at, overlap)
    return pieces
