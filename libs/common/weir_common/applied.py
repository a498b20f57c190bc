"""How far consumers are, told to whoever asks what became of an event: ``weir.ops.v1.AppliedService`` and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import asyncpg
import grpc.aio
import structlog
from weir.ops.v1 import applied_pb2, applied_pb2_grpc

from weir_common.errors import RetryError
from weir_common.problems import Unavailable

log = structlog.get_logger(__name__)


class Positions(Protocol):
    """The positions of some of a service's consumers."""

    async def next_offsets(self, topic: str, partition: int) -> Mapping[str, int]:
        """Consumer → the first offset that has not taken effect yet. ``RetryError`` when they cannot be read."""
        ...


class StoredPositions:
    """Of the consumers that keep their offsets beside their effects (``kafka.consumer``), whichever instance they run in."""

    def __init__(self, pool: asyncpg.Pool, schema: str, service: str) -> None:
        self._pool = pool
        self._schema = schema
        self._service = service

    async def next_offsets(self, topic: str, partition: int) -> Mapping[str, int]:
        """See ``Positions.next_offsets``."""
        try:
            async with self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch(
                    f'SELECT consumer, next_offset FROM "{self._schema}".consumer_offset WHERE topic = $1 AND partition = $2',  # noqa: S608 - the schema is ours
                    topic,
                    partition,
                )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        return {f"{self._service}.{row['consumer']}": row["next_offset"] for row in rows}


class AppliedServicer(applied_pb2_grpc.AppliedServiceServicer):
    """Answers from all of a service's sources."""

    def __init__(self, sources: Sequence[Positions]) -> None:
        self._sources = sources

    async def GetApplied(  # noqa: N802 - the name is the protocol's
        self, request: applied_pb2.GetAppliedRequest, context: grpc.aio.ServicerContext
    ) -> applied_pb2.GetAppliedResponse:
        """``UNAVAILABLE`` when one of them cannot be read."""
        try:
            found = await asyncio.gather(
                *(source.next_offsets(request.topic, request.partition) for source in self._sources)
            )
        except RetryError as error:
            raise Unavailable("Positions cannot be read now.") from error
        return applied_pb2.GetAppliedResponse(
            positions=[
                applied_pb2.ConsumerPosition(consumer=consumer, next_offset=offset)
                for positions in found
                for consumer, offset in sorted(positions.items())
            ]
        )


class PeerPositions:
    """What the services named answer; one that does not is left out."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], *, timeout_seconds: float = 1.0) -> None:
        self._stubs = {peer: applied_pb2_grpc.AppliedServiceStub(channel) for peer, channel in channels.items()}
        self._timeout_seconds = timeout_seconds

    async def next_offsets(self, topic: str, partition: int) -> Mapping[str, int]:
        """See ``Positions.next_offsets``; never raises for an outage."""
        request = applied_pb2.GetAppliedRequest(topic=topic, partition=partition)
        answers = await asyncio.gather(*(self._ask(peer, request) for peer in self._stubs))
        return {position.consumer: position.next_offset for answer in answers for position in answer}

    async def _ask(self, peer: str, request: applied_pb2.GetAppliedRequest) -> Sequence[applied_pb2.ConsumerPosition]:
        try:
            answer = await self._stubs[peer].GetApplied(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            log.warning("a peer does not say how far it is", peer=peer, code=error.code().name)
            return []
        return list(answer.positions)
