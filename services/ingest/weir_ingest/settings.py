"""Settings of ingest, from ``WEIR_INGEST_*``."""

from __future__ import annotations

from pydantic import Field
from weir_common.settings import EdgeSettings, Section, ValkeySettings, service_config


class BatchLimits(Section):
    """What one request may bring, and how much may be in flight before new requests are told to wait."""

    max_events: int = Field(default=1_000, ge=1)
    max_body_bytes: int = Field(default=16 * 1_048_576, ge=1)
    max_event_bytes: int = Field(default=512 * 1_024, ge=1)
    max_events_in_flight: int = Field(default=20_000, ge=1)
    acknowledge_timeout_seconds: float = Field(default=5.0, gt=0)


class ReceiptSettings(Section):
    """How long a receipt answers for its event; also the window in which a repeat is called a duplicate."""

    ttl_seconds: int = Field(default=86_400, ge=60)


class IdempotencySettings(Section):
    """How long a request with an ``Idempotency-Key`` gets the same answer."""

    ttl_seconds: int = Field(default=86_400, ge=60)


class IngestSettings(EdgeSettings):
    """All of ingest's settings."""

    model_config = service_config("WEIR_INGEST_")

    valkey: ValkeySettings
    limits: BatchLimits = BatchLimits()
    receipts: ReceiptSettings = ReceiptSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
