"""Counting what is done with cases. Those that are opened are the decisions of outcome review (`decision_metrics`)."""

from __future__ import annotations

from typing import Final

from weir_common.telemetry import meter

from weir_fraud.domain.review_case import ActionKind, ReviewCase

_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0
_BUCKETS_SECONDS: Final = (
    *(minutes * _MINUTE for minutes in (1, 5, 15)),
    *(hours * _HOUR for hours in (1, 4, 8)),
    *(days * _DAY for days in (1, 2, 7, 30)),
)
"""People take hours where requests take milliseconds."""


class CaseMetrics:
    """Each action once, when it is stored; and how long a case took."""

    def __init__(self) -> None:
        self._actions = meter().create_counter(
            "weir.fraud.case.actions", unit="{action}", description="What people did with cases"
        )
        self._time_to_resolve = meter().create_histogram(
            "weir.fraud.case.time_to_resolve",
            unit="s",
            description="From the decision that opened a case to its resolution",
            explicit_bucket_boundaries_advisory=_BUCKETS_SECONDS,
        )

    def acted(self, kind: ActionKind, case: ReviewCase) -> None:
        """An action was stored, and this is the case after it."""
        self._actions.add(1, {"weir.fraud.action": kind.value})
        if kind is ActionKind.RESOLVED and case.resolved_at is not None and case.resolution is not None:
            seconds = (case.resolved_at - case.opened_at).total_seconds()
            self._time_to_resolve.record(max(0.0, seconds), {"weir.fraud.resolution": case.resolution.value})
