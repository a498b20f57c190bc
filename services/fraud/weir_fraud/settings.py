"""Settings of fraud, from ``WEIR_FRAUD_*``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from weir_common.privacy.settings import VaultSettings
from weir_common.settings import PostgresSettings, Section, ServiceSettings, ValkeySettings, service_config

from weir_fraud.domain.outcome import Outcome


class ScoringSettings(Section):
    """Bounds of the scoring of single payments; the stream has its own pace."""

    deadline_seconds: float = Field(default=1.0, gt=0)
    """A call that asks for more time than this gets this."""
    max_concurrent: int = Field(default=16, ge=1)
    """Calls at work; each holds a connection to PostgreSQL for a moment."""
    max_waiting: int = Field(default=256, ge=0)
    """Calls that wait for their turn; more are refused at once, which is kinder than a late answer."""
    max_waiting_explained: int = Field(default=64, ge=0)
    """Calls that wait; while there are more, decisions are made without their explanation, which is filled in later. Of the time that a
    processor works for a decision it is the part that can wait. Below `max_waiting`, or it never happens."""
    features_deadline_seconds: float = Field(default=0.25, gt=0)
    """Then a caller's payment is decided without the histories. A hundred times what they take; a quarter of the whole deadline."""
    features_failures: int = Field(default=3, ge=1)
    """After so many one after the other the histories are not asked any more"""
    features_pause_seconds: float = Field(default=1.0, gt=0)
    """for about so long (half to one and a half times); then one payment asks for all."""
    least_without_features: Outcome = Outcome.REVIEW
    """What the thresholds' outcome is raised to when the histories were not asked; a tenant's lists and rules may lower it."""

    @property
    def seconds_for_features(self) -> float:
        """At most half of what there is: without them a payment is decided, too."""
        return min(self.features_deadline_seconds, self.deadline_seconds / 2)


class StreamSettings(Section):
    """Micro-batches of the stream; nobody waits for them, so they may wait for each other."""

    max_records: int = Field(default=250, ge=1)
    max_wait_seconds: float = Field(default=0.25, gt=0, le=1)
    fetch_min_bytes: int = Field(default=1_048_576, ge=1)
    """The broker answers when it has that much, or after the wait: fewer and larger batches under load."""


class ModelSettings(Section):
    """Where the files of all versions are: a folder, or the URI of an object storage (`s3://bucket/prefix`)."""

    store: str
    shadow_queue: int = Field(default=500, ge=1)
    """Decisions that wait to be compared with the shadow's; more are dropped and counted."""

    @property
    def store_uri(self) -> str:
        """The store as a URI."""
        return self.store if "://" in self.store else Path(self.store).absolute().as_uri()


class FraudSettings(ServiceSettings):
    """All of fraud's settings."""

    model_config = service_config("WEIR_FRAUD_")

    valkey: ValkeySettings
    vault: VaultSettings
    model_dir: Path
    """The model that comes with the release: registered at the start, and the champion if there is none."""
    models: ModelSettings
    scoring: ScoringSettings = ScoringSettings()
    stream: StreamSettings = StreamSettings()


def whole_pool(settings: PostgresSettings) -> PostgresSettings:
    """All connections from the start: opening one costs more time than a decision has."""
    return settings.model_copy(update={"min_size": settings.max_size})
