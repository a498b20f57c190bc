"""Counting what was decided."""

from __future__ import annotations

from collections.abc import Iterable

from weir_common.telemetry import meter

from weir_fraud.domain.decision import Decision, Source


class DecisionMetrics:
    """Each decision once, when it is stored; and how long callers waited."""

    def __init__(self) -> None:
        self._decisions = meter().create_counter(
            "weir.fraud.decisions", unit="{decision}", description="Decisions made, by outcome, tenant and way in"
        )
        self._duration = meter().create_histogram(
            "weir.fraud.score.duration",
            unit="s",
            description="A decision, from the arrival of the payment until it is stored, explanation included",
        )
        self._lag = meter().create_histogram(
            "weir.fraud.decision.lag", unit="s", description="From the acceptance of an event to its decision"
        )

    def made(self, decisions: Iterable[Decision]) -> None:
        """New decisions were stored."""
        for decision in decisions:
            self._decisions.add(
                1,
                {
                    "weir.fraud.outcome": decision.outcome.value,
                    "weir.fraud.source": decision.source.value,
                    "weir.tenant.id": decision.tenant_id,
                },
            )

    def took(self, seconds: float, source: Source) -> None:
        """One payment was scored and stored (or a micro-batch of the stream)."""
        self._duration.record(seconds, {"weir.fraud.source": source.value})

    def lagged(self, seconds: Iterable[float]) -> None:
        """Ages of events of the stream when they were decided."""
        for age in seconds:
            self._lag.record(max(0.0, age))
