"""Counting what became known."""

from __future__ import annotations

from collections.abc import Sequence

from weir_common.telemetry import meter


class LabelMetrics:
    """Each label that came in, by what became of it."""

    def __init__(self) -> None:
        self._labels = meter().create_counter(
            "weir.fraud.labels", unit="{label}", description="Labels of payments that came in, by label and result"
        )

        self._put = meter().create_counter(
            "weir.fraud.labels.applied",
            unit="{label}",
            description="Labels put on histories, by whether the payment was found there",
        )

    def put(self, found: Sequence[bool]) -> None:
        """Labels came to the histories."""
        for one in found:
            self._put.add(1, {"weir.fraud.found": one})

    def received(self, label: str, result: str, count: int = 1) -> None:
        """`label` is ``none`` where it could not be read."""
        self._labels.add(count, {"weir.fraud.label": label, "weir.fraud.result": result})
