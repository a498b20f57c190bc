"""Stores of ingest on the running mesh's Valkey (WEIR_STATE_DIR), for tests that say so."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from weir_common.ids import TenantId


@pytest.fixture
def tenant() -> TenantId:
    """A tenant of the test's own."""
    return TenantId(f"test-ingest-{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def valkey() -> AsyncIterator[Redis]:
    """A client that is closed after the test."""
    client = Redis.from_url(os.environ["WEIR_INGEST_VALKEY__URL"])
    yield client
    await client.aclose()
