"""Settings of ingest, from ``WEIR_INGEST_*``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from weir_common.privacy.settings import VaultSettings
from weir_common.settings import PeerSettings, Section, ServiceSettings, ValkeySettings, service_config


class BatchLimits(Section):
    """What one request may bring, and how much may be in flight before new requests are told to wait."""

    max_events: int = Field(default=1_000, ge=1)
    max_body_bytes: int = Field(default=16 * 1_048_576, ge=1)
    max_event_bytes: int = Field(default=512 * 1_024, ge=1)
    max_events_in_flight: int = Field(default=20_000, ge=1)
    max_batches_at_once: int = Field(default=32, ge=1)
    """At work; the others wait for their turn."""
    max_bytes_in_company: int = Field(default=384 * 1_024, ge=1)
    """Of one tenant's batches at work while others send, too, if they are more than two."""
    max_waiting_of_a_tenant: int = Field(default=256, ge=1)
    """Requests that wait for its own; more are told to come back at once."""
    turn_timeout_seconds: float = Field(default=3.0, gt=0)
    """After that it is kinder to say so than to go on waiting. A request may wait for two turns, its tenant's and its own, and for the log:
    together less than the gateway's 15 s. Sooner, a stall of two seconds has batches uploaded again that only needed to wait."""
    acknowledge_timeout_seconds: float = Field(default=5.0, gt=0)


class ReceiptSettings(Section):
    """How long a receipt answers for its event; also the window in which a repeat is called a duplicate."""

    ttl_seconds: int = Field(default=86_400, ge=60)


class IdempotencySettings(Section):
    """How long a request with an ``Idempotency-Key`` gets the same answer."""

    ttl_seconds: int = Field(default=86_400, ge=60)


class PrivacySettings(Section):
    """``root_key_path`` holds 32 bytes, from which the keys that seal refused events are derived."""

    root_key_path: Path


class QuarantineLimits(Section):
    """What one tenant may have in quarantine, and for how long."""

    max_events: int = Field(default=100_000, ge=1)
    max_bytes: int = Field(default=256 * 1_048_576, ge=1)
    retention_seconds: int = Field(default=14 * 86_400, ge=60)
    acknowledge_timeout_seconds: float = Field(default=2.0, gt=0)
    """For the log; what it does not take in that time is the sender's to mend."""


class IngestSettings(ServiceSettings):
    """All of ingest's settings."""

    model_config = service_config("WEIR_INGEST_")

    valkey: ValkeySettings
    limits: BatchLimits = BatchLimits()
    receipts: ReceiptSettings = ReceiptSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    privacy: PrivacySettings
    vault: VaultSettings
    peers: PeerSettings = PeerSettings()
    """Asked how far they are with an event; one that is not named is never known."""
    quarantine: QuarantineLimits = QuarantineLimits()
