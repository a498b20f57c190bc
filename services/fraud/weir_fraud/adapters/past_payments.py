"""Every payment on the log, in the order in which the mesh accepted them: what the histories are rebuilt from."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from weir_common.ids import TenantId
from weir_common.kafka.closing import close_client
from weir_common.kafka.records import EVENT_SUBTYPE_HEADER, EVENT_TYPE_HEADER, TENANT_HEADER
from weir_common.settings import KafkaSettings

from weir_fraud.domain.payment import Payment
from weir_fraud.domain.payment_event import EVENT_TYPE, PAYMENT_SUBTYPES, PaymentEvent, payment_of
from weir_fraud.errors import FeatureStoreUnavailable

log = structlog.get_logger(__name__)

_TYPE: Final = EVENT_TYPE.encode()
_SUBTYPES: Final = frozenset(subtype.encode() for subtype in PAYMENT_SUBTYPES)
_FETCHED: Final = 4_000
"""Records of a partition that are held at most, beside what one more fetch brings."""


class PastPayments:
    """The log from its beginning to where it ends now, across partitions by the time of acceptance.

    A partition is in that order by itself; between partitions it is what the service saw, to the millisecond.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._decoder = msgspec.json.Decoder(PaymentEvent)
        self.records_left: int | None = None
        """Of all kinds, not read yet; None before it began."""

    async def batches(
        self, size: int, tenant_id: TenantId | None = None, next_offsets: Mapping[int, int] | None = None
    ) -> AsyncIterator[list[Payment]]:
        """Payments of all tenants or of one, `size` at a time; of each partition from its next offset on, else from its beginning.

        Without their contexts, which histories do not keep.

        `FeatureStoreUnavailable` (retry) if the log cannot be read.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=2 * 1_048_576,
            fetch_max_bytes=16 * 1_048_576,
            request_timeout_ms=int(max(self._kafka.request_timeout_seconds, 11) * 1000),
        )
        batch: list[Payment] = []
        owner = None if tenant_id is None else tenant_id.encode()
        try:
            async with asyncio.timeout(30):
                await consumer.start()
            async for records in self._in_order(consumer, next_offsets or {}):
                for record in records:
                    payment = self._payment(record, owner)
                    if payment is None:
                        continue
                    batch.append(payment)
                    if len(batch) == size:
                        yield batch
                        batch = []
        except (KafkaError, TimeoutError) as error:
            raise FeatureStoreUnavailable(f"the log cannot be read: {error!r}") from error
        finally:
            await close_client(consumer.stop, client="weir-fraud past payments")
        if batch:
            yield batch

    async def _in_order(self, consumer: AIOKafkaConsumer, next_offsets: Mapping[int, int]) -> AsyncIterator[list[Any]]:
        """Records that follow each other on one partition, before the next one of another."""
        async with asyncio.timeout(30):
            partitions = [TopicPartition(self._topic, number) for number in await self._numbers()]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            beginnings = await consumer.beginning_offsets(partitions)
            # What is known to be read already; what the log has deleted since nobody can read.
            starts = {
                partition: max(first, next_offsets.get(partition.partition, 0))
                for partition, first in beginnings.items()
            }
            for partition in partitions:
                consumer.seek(partition, starts[partition])
        held: dict[TopicPartition, deque[Any]] = {partition: deque() for partition in partitions}
        positions = dict(starts)
        open_partitions = {partition for partition in partitions if starts[partition] < ends[partition]}
        heads: list[tuple[int, int]] = []
        by_number = {partition.partition: partition for partition in partitions}
        missing = set(open_partitions)
        while True:
            while missing:
                async with asyncio.timeout(30):
                    fetched = await consumer.getmany(*missing, timeout_ms=1_000, max_records=_FETCHED)
                for partition, records in fetched.items():
                    held[partition].extend(record for record in records if record.offset < ends[partition])
                    positions[partition] = records[-1].offset + 1
                self.records_left = sum(max(0, ends[where] - positions[where]) for where in partitions)
                for partition in list(missing):
                    # A transaction's markers and compacted records take offsets: the position tells, not the last record.
                    at_end = max(positions[partition], await consumer.position(partition)) >= ends[partition]
                    if held[partition]:
                        heapq.heappush(heads, (held[partition][0].timestamp, partition.partition))
                        missing.discard(partition)
                    elif at_end:
                        missing.discard(partition)
            if not heads:
                return
            # One head a partition: the oldest of them is the oldest of all that are still to come.
            _, number = heapq.heappop(heads)
            partition = by_number[number]
            queue = held[partition]
            limit = heads[0] if heads else None
            run = []
            while queue and (limit is None or (queue[0].timestamp, number) <= limit):
                run.append(queue.popleft())
            yield run
            if queue:
                heapq.heappush(heads, (queue[0].timestamp, number))
            elif positions[partition] < ends[partition]:
                missing.add(partition)

    async def _numbers(self) -> Sequence[int]:
        # Not from the consumer: it knows the partitions only of topics that it subscribed to, and says that others have none.
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._kafka.bootstrap_servers,
            request_timeout_ms=int(self._kafka.request_timeout_seconds * 1000),
        )
        try:
            async with asyncio.timeout(30):
                await admin.start()
                (topic,) = await admin.describe_topics([self._topic])
        finally:
            await close_client(admin.close, client="weir-fraud past payments")
        if topic["error_code"] or not topic["partitions"]:
            raise FeatureStoreUnavailable(f"the topic {self._topic} is not there: error {topic['error_code']}")
        return sorted(partition["partition"] for partition in topic["partitions"])

    def _payment(self, record: Any, owner: bytes | None) -> Payment | None:
        type_ = subtype = tenant = None
        for name, value in record.headers:
            if name == EVENT_TYPE_HEADER:
                type_ = value
            elif name == EVENT_SUBTYPE_HEADER:
                subtype = value
            elif name == TENANT_HEADER:
                tenant = value
        if type_ != _TYPE or subtype not in _SUBTYPES or tenant is None or (owner is not None and tenant != owner):
            return None
        try:
            event = self._decoder.decode(record.value)
            accepted_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            return payment_of(event, TenantId(tenant.decode()), accepted_at, with_context=False)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            # The consumer that decides has put it aside already, with its coordinates.
            log.warning("no payment", partition=record.partition, offset=record.offset, error=str(error))
            return None
