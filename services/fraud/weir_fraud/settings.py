"""Settings of fraud, from ``WEIR_FRAUD_*``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field
from weir_common.privacy.settings import VaultSettings
from weir_common.settings import PostgresSettings, Section, ServiceSettings, ValkeySettings, service_config

from weir_fraud.compute_drift import DriftLimits
from weir_fraud.domain.decline_corridor import MAX_WINDOW_MINUTES, DeclineCorridor
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.promotion_gate import GateBounds


class ScoringSettings(Section):
    """Bounds of the scoring of single payments; the stream has its own pace."""

    deadline_seconds: float = Field(default=1.0, gt=0)
    """A call that asks for more time than this gets this."""
    max_concurrent: int = Field(default=16, ge=1)
    """Batches, and pieces of work of single requests, at once; each holds a connection to PostgreSQL for a moment."""
    max_pieces: int = Field(default=2, ge=1)
    """Pieces of work of single requests at once, each of one or of several. Meanwhile others wait, and are then decided on together. One computes
    while the other asks PostgreSQL or Valkey; more would make the turns of the event loop longer (ADR 27)."""
    max_together: int = Field(default=16, ge=1)
    """Requests in one piece of work, of one tenant. More would make each of them wait for all the others."""
    max_waiting: int = Field(default=256, ge=0)
    """Calls inside, from before they are read until they are answered; more are refused at once, which is kinder than a late answer. So is
    one that, as fast as it goes of late, would wait for a quarter of its time."""
    max_waiting_explained: int = Field(default=64, ge=0)
    """Other payments inside; while there are more, decisions are made without their explanation, which is filled in later. Of the time that a
    processor works for a decision it is the part that can wait. Below `max_waiting`, or it never happens."""
    features_deadline_seconds: float = Field(default=0.25, gt=0)
    """Then a caller's payment is decided without the histories. A hundred times what they take; a quarter of the whole deadline."""
    features_deadline_seconds_a_payment: float = Field(default=0.0025, ge=0)
    """So much more for each further payment of a batch, ten times what one takes: a batch of 100 has 0.25 + 99 x 0.0025 s, cut to half of
    `deadline_seconds`. 0: a batch has no more than one payment has."""
    features_failures: int = Field(default=3, ge=1)
    """After so many one after the other the histories are not asked any more"""
    features_pause_seconds: float = Field(default=1.0, gt=0)
    """for about so long (half to one and a half times); then one payment asks for all."""
    least_without_features: Outcome = Outcome.REVIEW
    """What the thresholds' outcome is raised to when the histories were not asked; a tenant's lists and rules may lower it."""

    @property
    def most_seconds_for_features(self) -> float:
        """However many payments: half of what there is. Without the histories they are decided, too, and that takes time."""
        return self.deadline_seconds / 2


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


class DeclineSettings(Section):
    """The corridor of tenants whose policy has none of its own; see `DeclineCorridor`."""

    window_minutes: int = Field(default=60, ge=1, le=MAX_WINDOW_MINUTES)
    least_decisions: int = Field(default=200, ge=1)
    ceiling: float = Field(default=0.2, gt=0, le=1)
    floor: float = Field(default=0.0, ge=0, le=1)

    @property
    def corridor(self) -> DeclineCorridor:
        """As the domain has it."""
        return DeclineCorridor(
            window_minutes=self.window_minutes,
            least_decisions=self.least_decisions,
            ceiling=self.ceiling,
            floor=self.floor,
        )


class GateSettings(Section):
    """What a version must show before it decides; see `domain/promotion_gate.py`."""

    backtest_least_payments: int = Field(default=10_000, ge=1)
    backtest_least_frauds: int = Field(default=100, ge=1)
    backtest_most_days: float = Field(default=30, gt=0)
    most_loss: float = Field(default=0.01, ge=0, le=1)
    shadow_least_decisions: int = Field(default=10_000, ge=1)
    shadow_least_hours: float = Field(default=24, gt=0)
    reviews_per_day: float = Field(default=2_000, gt=0)
    """What the analysts of all tenants can look at."""
    reviews_per_day_of_tenant: float = Field(default=200, gt=0)
    decline_rate: float = Field(default=0.05, gt=0, le=1)

    @property
    def bounds(self) -> GateBounds:
        """As the domain has them."""
        return GateBounds(**self.model_dump(exclude={"reviews_per_day_of_tenant"}))


class DriftSettings(Section):
    """How drift is looked at; see `compute_drift.py`."""

    every_seconds: float = Field(default=3_600, ge=1)
    window_hours: float = Field(default=24, gt=0)
    least_decisions: int = Field(default=500, ge=1)
    """Of fewer a PSI of eleven bins is noise."""
    most_decisions: int = Field(default=5_000, ge=1)
    label_delay_days: float = Field(default=7, ge=0)
    calibration_days: float = Field(default=30, gt=0)
    least_frauds: int = Field(default=20, ge=1)

    @property
    def limits(self) -> DriftLimits:
        """As the use case has them."""
        return DriftLimits(
            every=timedelta(seconds=self.every_seconds),
            window=timedelta(hours=self.window_hours),
            least_decisions=self.least_decisions,
            most_decisions=self.most_decisions,
            label_delay=timedelta(days=self.label_delay_days),
            calibration=timedelta(days=self.calibration_days),
            least_frauds=self.least_frauds,
        )


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
    declines: DeclineSettings = DeclineSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()


def whole_pool(settings: PostgresSettings) -> PostgresSettings:
    """All connections from the start: opening one costs more time than a decision has."""
    return settings.model_copy(update={"min_size": settings.max_size})
