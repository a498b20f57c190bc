"""Drift over decisions and labels in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.domain.drift import Calibration, DriftReport
from weir_fraud.domain.label import Label, current_label
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.replay import vector_of
from weir_fraud.ports import Snapshots


class MemoryDrift:
    """See `DriftStore`."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.labels: list[Label] = []
        self._reports: dict[tuple[TenantId, str], DriftReport] = {}
        self._began = datetime(1970, 1, 1, tzinfo=UTC)

    async def claim(self, at: datetime, every: timedelta) -> bool:
        if self._began > at - every:
            return False
        self._began = at
        return True

    async def snapshots(
        self, tenant_id: TenantId, version: str, since: datetime, before: tuple[datetime, EventId], limit: int
    ) -> Snapshots:
        found = [
            one
            for one in self.decisions
            if one.tenant_id == tenant_id and one.decided_at >= since and (one.decided_at, one.event_id) < before
        ]
        found.sort(key=lambda one: (one.decided_at, one.event_id), reverse=True)
        page = found[:limit]
        return Snapshots(
            [(vector_of(one), one.score) for one in page if one.model_version == version],
            (page[-1].decided_at, page[-1].event_id) if len(page) == limit else None,
        )

    async def matured(self, tenant_id: TenantId, version: str, since: datetime, until: datetime) -> Calibration:
        judged: list[tuple[float, bool, bool]] = []
        for one in self.decisions:
            if one.tenant_id != tenant_id or one.model_version != version or not since <= one.decided_at < until:
                continue
            label = current_label(self._labels_of(one))
            if one.outcome is not Outcome.DECLINE or label is not None:
                judged.append((one.score, label is not None, label is not None and label.kind.is_fraud))
        return Calibration(
            since=since,
            until=until,
            decisions=len(judged),
            labelled=sum(labelled for _, labelled, _ in judged),
            frauds=sum(fraud for _, _, fraud in judged),
            expected=sum(score for score, _, _ in judged),
            squares=sum((score - fraud) ** 2 for score, _, fraud in judged),
        )

    async def save(self, tenant_id: TenantId, report: DriftReport) -> None:
        self._reports[tenant_id, report.version] = report

    async def report(self, tenant_id: TenantId, version: str) -> DriftReport | None:
        return self._reports.get((tenant_id, version))

    def _labels_of(self, decision: Decision) -> Sequence[Label]:
        return [one for one in self.labels if (one.tenant_id, one.event_id) == (decision.tenant_id, decision.event_id)]
