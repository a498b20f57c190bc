"""Settings of analytics, from ``WEIR_ANALYTICS_*``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from weir_common.settings import Section, ServiceSettings, service_config


class ConsumerSettings(Section):
    """Micro-batches of the rollups: larger ones cost less an event, the wait is part of the delay of the dashboard."""

    max_records: int = Field(default=1_000, ge=1)
    max_wait_seconds: float = Field(default=0.25, gt=0, le=1)
    fetch_min_bytes: int = Field(default=2 * 1_048_576, ge=1)
    """The broker answers when it has that much, or after the wait."""


class LakeSettings(Section):
    """The archive: an Iceberg catalogue in PostgreSQL and a warehouse folder (or any object store URI)."""

    warehouse: str
    """A folder, absolute or relative to the working directory, or a URI."""
    catalog_dsn: SecretStr
    """`postgresql://…` of a role that owns the schema `lake`."""
    commit_seconds: float = Field(default=20.0, gt=0)
    """An accepted event is in the table within a minute: this interval, plus writing, plus one retry."""
    max_buffered_bytes: int = Field(default=8 * 1_048_576, ge=1)
    """Payload held in memory before it is written out as a row group."""
    kept_snapshots_seconds: float = Field(default=3_600.0, gt=0)
    """Time travel; older snapshots are expired, their data stay."""

    @property
    def warehouse_uri(self) -> str:
        return self.warehouse if "://" in self.warehouse else Path(self.warehouse).absolute().as_uri()


class AnalyticsSettings(ServiceSettings):
    """All of analytics' settings."""

    model_config = service_config("WEIR_ANALYTICS_")

    lake: LakeSettings
    consumer: ConsumerSettings = ConsumerSettings()
