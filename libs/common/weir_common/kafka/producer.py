"""Writing to the log: idempotent, acknowledged by all in-sync replicas, never without a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from weir_common.errors import RetryError
from weir_common.kafka.closing import close_client
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.settings import KafkaSettings

log = structlog.get_logger(__name__)


class KafkaPublisher:
    """Sends records and answers only when the broker has acknowledged them."""

    def __init__(self, producer: AIOKafkaProducer, default_timeout: float) -> None:
        self._producer = producer
        self._default_timeout = default_timeout

    async def publish(self, record: OutgoingRecord, *, timeout: float | None = None) -> Position:
        """Write one record. ``RetryError`` when no acknowledgement came in time: its fate is then unknown."""
        return (await self.publish_all([record], timeout=timeout))[0]

    async def publish_all(self, records: Sequence[OutgoingRecord], *, timeout: float | None = None) -> list[Position]:
        """Write in order and wait for every acknowledgement; one failure fails the call (others may be written)."""
        outcomes = await self.try_publish_all(records, timeout=timeout)
        for outcome in outcomes:
            if isinstance(outcome, RetryError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Position)]

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        """As ``publish_all``, with one outcome a record, in order."""
        futures: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(timeout or self._default_timeout):
                for record in records:
                    futures.append(
                        await self._producer.send(
                            record.topic,
                            key=record.key,
                            value=record.value,
                            partition=record.partition,
                            timestamp_ms=record.timestamp_ms,
                            headers=list(record.headers.items()),
                        )
                    )
                # The futures belong to the producer: a deadline here must not cancel the sends of others.
                if futures:
                    await asyncio.wait(futures)
        except TimeoutError:
            pass
        except KafkaError as error:
            fault = RetryError(f"Kafka refused the record: {error!r}")
            return [self._outcome(future, fault) for future in futures] + [fault] * (len(records) - len(futures))
        late = RetryError(f"Kafka did not acknowledge within {timeout or self._default_timeout} s")
        return [self._outcome(future, late) for future in futures] + [late] * (len(records) - len(futures))

    @staticmethod
    def _outcome(future: asyncio.Future[object], late: RetryError) -> Position | RetryError:
        if not future.done():
            # Nobody will look at it again: take its exception, so that it is not reported as never retrieved.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            return late
        if future.cancelled():
            return late
        error = future.exception()
        if error is not None:
            return RetryError(f"Kafka refused the record: {error!r}")
        metadata = future.result()
        return Position(metadata.topic, metadata.partition, metadata.offset)  # type: ignore[attr-defined]


@asynccontextmanager
async def kafka_publisher(
    settings: KafkaSettings, client_id: str, *, linger_ms: int = 2, max_batch_bytes: int = 1_048_576
) -> AsyncIterator[KafkaPublisher]:
    """An idempotent producer, acks=all. ``linger_ms`` trades a little latency for far fewer requests."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=settings.compression,
        linger_ms=linger_ms,
        max_batch_size=max_batch_bytes,
        max_request_size=4 * 1_048_576,
        request_timeout_ms=int(settings.request_timeout_seconds * 1000),
        metadata_max_age_ms=60_000,
    )
    try:
        async with asyncio.timeout(settings.request_timeout_seconds * 3):
            await producer.start()
    except (KafkaError, TimeoutError) as error:
        await close_client(producer.stop, client=client_id)
        raise RetryError(f"Kafka at {settings.bootstrap_servers} does not answer: {error!r}") from error
    try:
        yield KafkaPublisher(producer, settings.request_timeout_seconds)
    finally:
        # If the broker is away, what is still unacknowledged was never reported as written, so nothing is lost.
        await close_client(producer.stop, client=client_id, seconds=settings.request_timeout_seconds)
