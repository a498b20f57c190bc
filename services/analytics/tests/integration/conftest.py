"""Analytics on the servers of the native mesh: own tenants, topics and consumer names, so that nobody is disturbed."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from weir_analytics.settings import AnalyticsSettings
from weir_common.ids import TenantId
from weir_common.kafka.producer import KafkaPublisher, kafka_publisher
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory


@pytest.fixture(scope="session")
def analytics_environment() -> dict[str, str]:
    """The variables that the launcher gives to the service."""
    mesh = Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))
    return environment_of(mesh, "analytics")


@pytest.fixture
def settings(
    analytics_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AnalyticsSettings:
    """The service's settings, with a warehouse of the test's own."""
    for name, value in analytics_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEIR_ANALYTICS_LAKE__WAREHOUSE", str(tmp_path / "lake"))
    return AnalyticsSettings()


@pytest.fixture
async def pool(settings: AnalyticsSettings) -> AsyncIterator[asyncpg.Pool]:
    await migrate(settings.postgres.owner_dsn.get_secret_value(), "analytics", "weir_analytics")
    async with postgres_pool(settings.postgres, "analytics-tests") as opened:
        yield opened


@pytest.fixture
async def publisher(settings: AnalyticsSettings) -> AsyncIterator[KafkaPublisher]:
    async with kafka_publisher(settings.kafka, "analytics-tests") as opened:
        yield opened


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(f"test-analytics-{uuid.uuid4().hex[:12]}")


MakeTopic = Callable[[int], "str"]


@pytest.fixture
async def make_topic(settings: AnalyticsSettings) -> Callable[..., object]:
    """A topic of the test's own; the broker drops it with its retention."""

    async def make(partitions: int = 4) -> str:
        name = f"test.analytics.{uuid.uuid4().hex[:12]}"
        await ensure_topics(settings.kafka, (TopicSpec(name, partitions, retention_days=0.1),))
        return name

    return make
