"""Drift as gauges: per tenant three series, per feature one over all tenants."""

from __future__ import annotations

from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.domain.drift import DriftReport


class DriftMetrics:
    """Of the instance that computed it last; what there is too little data for is not told."""

    def __init__(self) -> None:
        self._score = meter().create_gauge(
            "weir.fraud.drift.score.psi",
            unit="{nat}",
            description="Population stability index of a tenant's scores against the model's own; __platform__: of all",
        )
        self._worst = meter().create_gauge(
            "weir.fraud.drift.worst.psi",
            unit="{nat}",
            description="The same of the feature of a tenant that moved most",
        )
        self._feature = meter().create_gauge(
            "weir.fraud.drift.feature.psi", unit="{nat}", description="The same of each feature, over all tenants"
        )
        self._calibration = meter().create_gauge(
            "weir.fraud.drift.calibration",
            unit="{fraud}",
            description="Observed frauds for each that was expected, among decisions old enough for labels",
        )

    def told(self, tenant_id: TenantId, report: DriftReport, *, of_all: bool) -> None:
        """A report is new."""
        labels = {"weir.tenant.id": tenant_id}
        if report.score_psi is not None:
            self._score.set(report.score_psi, labels)
        if report.worst is not None:
            self._worst.set(report.worst[1], labels)
        if of_all:
            for name, value in (report.features or {}).items():
                self._feature.set(value, {"weir.fraud.feature": name})
        if report.calibration_ratio is not None:
            self._calibration.set(report.calibration_ratio, labels)
