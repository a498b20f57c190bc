"""Valkey: a client whose pool waits for a free connection instead of failing at once, with a deadline on each call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from weir_common.settings import ValkeySettings


@asynccontextmanager
async def valkey_client(settings: ValkeySettings) -> AsyncIterator[Redis]:
    """A client with bytes in and out. Errors are ``redis.exceptions.RedisError`` after one jittered retry."""
    pool = BlockingConnectionPool.from_url(
        settings.url.get_secret_value(),
        max_connections=settings.max_connections,
        timeout=settings.timeout_seconds,
        socket_timeout=settings.timeout_seconds,
        socket_connect_timeout=settings.timeout_seconds,
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
        health_check_interval=15,
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.aclose()
