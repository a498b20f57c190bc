"""Counting what is done with cases. Those that are opened are the decisions of outcome review (`decision_metrics`)."""

from __future__ import annotations

from weir_common.telemetry import meter

from weir_fraud.domain.review_case import ActionKind, ReviewCase


class CaseMetrics:
    """Each action once, when it is stored; and how long a case took."""

    def __init__(self) -> None:
        self._actions = meter().create_counter(
            "weir.fraud.case.actions", unit="{action}", description="What people did with cases"
        )
        self._resolution = meter().create_histogram(
            "weir.fraud.case.resolution.duration",
            unit="s",
            description="From the decision that opened a case to its resolution",
            explicit_bucket_boundaries_advisory=[60, 300, 900, 3600, 14400, 28800, 86400, 172800, 604800, 2592000],
        )

    def acted(self, kind: ActionKind, case: ReviewCase) -> None:
        """An action was stored, and this is the case after it."""
        self._actions.add(1, {"weir.fraud.action": kind.value})
        if kind is ActionKind.RESOLVED and case.resolved_at is not None and case.resolution is not None:
            seconds = (case.resolved_at - case.opened_at).total_seconds()
            self._resolution.record(max(0.0, seconds), {"weir.fraud.resolution": case.resolution.value})
