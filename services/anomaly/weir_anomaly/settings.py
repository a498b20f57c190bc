"""Settings of anomaly, from ``WEIR_ANOMALY_*``."""

from __future__ import annotations

from pydantic import Field
from weir_common.settings import ServiceSettings, service_config


class AnomalySettings(ServiceSettings):
    """All of anomaly's settings."""

    model_config = service_config("WEIR_ANOMALY_")

    max_records: int = Field(default=500, ge=1)
    max_wait_seconds: float = Field(default=0.25, gt=0, le=1)
    state_cache_entries: int = Field(default=50_000, ge=1)
    """About a kilobyte each."""
