"""A door that only decodes and forwards: one process, no tenants, no sealing, no receipts. Never a part of the mesh.

Arguments: the address of a broker, a topic, and the port to listen on.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from weir_common.events import Event

PATH: Final = "/api/v2/events/batch"
MAX_BATCH_BYTES: Final = 512 * 1_024
"""What a body's events of one partition need: aiokafka's 16 KB would make a batch, and a compression, of every other event."""


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw]


class _Accepted(msgspec.Struct):
    event_id: str
    status: str = "accepted"


def application(servers: str, topic: str) -> Starlette:
    """Each event is decoded whole, appended as it came, and accepted when the broker has all replicas' acknowledgement."""
    batches, events = msgspec.json.Decoder(_Batch), msgspec.json.Decoder(Event)
    producer: list[AIOKafkaProducer] = []

    @asynccontextmanager
    async def opened(_: Starlette) -> AsyncIterator[None]:
        made = AIOKafkaProducer(
            bootstrap_servers=servers,
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            max_batch_size=MAX_BATCH_BYTES,
        )
        await made.start()
        producer.append(made)
        yield
        await made.stop()

    async def take(request: Request) -> Response:
        waiting, results = [], []
        try:
            for raw in batches.decode(await request.body()).events:
                event = events.decode(raw)
                results.append(_Accepted(str(event.event_metadata.event_id)))
                waiting.append(await producer[0].send(topic, bytes(raw), key=event.tenant_id.encode()))
            for one in waiting:
                await one
        except KafkaError:
            # More than it can do is where the sweep ends; nobody needs a traceback of it.
            return Response(status_code=503)
        return Response(msgspec.json.encode({"results": results}), 202, media_type="application/json")

    return Starlette(routes=[Route(PATH, take, methods=["POST"])], lifespan=opened)


def main() -> None:
    """Serve until SIGTERM."""
    servers, topic, port = sys.argv[1:]
    gc.set_threshold(20_000, 20, 50)  # as our services have it
    uvicorn.run(
        application(servers, topic),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
