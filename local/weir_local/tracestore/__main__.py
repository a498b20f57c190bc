"""`python -m weir_local.tracestore`: run until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvicorn

from weir_local.tracestore.receiver import start_receiver
from weir_local.tracestore.store import SpanStore
from weir_local.tracestore.web import web

GRACE_SECONDS = 2


async def serve(database: Path, otlp_port: int, http_port: int, max_spans: int, max_age_seconds: float) -> None:
    store = SpanStore(database, max_spans=max_spans, max_age_seconds=max_age_seconds)
    try:
        receiver = await start_receiver(store, otlp_port)
        try:
            config = uvicorn.Config(
                web(store),
                host="127.0.0.1",
                port=http_port,
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
            await uvicorn.Server(config).serve()  # returns at SIGTERM
        finally:
            await receiver.stop(GRACE_SECONDS)
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m weir_local.tracestore", description=__doc__)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--otlp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--max-spans", type=int, default=400_000, help="about 400 MB on disk")
    parser.add_argument("--max-age-seconds", type=float, default=24 * 3600)
    options = parser.parse_args()
    asyncio.run(
        serve(options.database, options.otlp_port, options.http_port, options.max_spans, options.max_age_seconds)
    )


if __name__ == "__main__":
    main()
