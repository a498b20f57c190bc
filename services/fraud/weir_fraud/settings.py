"""Settings of fraud, from ``WEIR_FRAUD_*``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from weir_common.settings import ServiceSettings, ValkeySettings, service_config


class FraudSettings(ServiceSettings):
    """All of fraud's settings. ``model_dir`` is what ``python -m weir_fraud.training --output`` wrote."""

    model_config = service_config("WEIR_FRAUD_") | {"protected_namespaces": ()}

    valkey: ValkeySettings
    model_dir: Path
    max_concurrent: int = Field(default=64, ge=1)
    deadline_seconds: float = Field(default=1.0, gt=0)
