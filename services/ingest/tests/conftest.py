"""The stores of ingest on the running mesh (WEIR_STATE_DIR), for tests that say so."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from weir_common.ids import TenantId
from weir_common.valkey import valkey_client
from weir_ingest.settings import IngestSettings
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory


@pytest.fixture
def tenant() -> TenantId:
    """A tenant of the test's own."""
    return TenantId(f"test-ingest-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def mesh_settings() -> IngestSettings:
    """The settings of the mesh's ingest."""
    mesh = Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(mesh, "ingest").items():
            patch.setenv(name, value)
        return IngestSettings()


@pytest.fixture
async def valkey(mesh_settings: IngestSettings) -> AsyncIterator[Redis]:
    async with valkey_client(mesh_settings.valkey) as client:
        yield client
