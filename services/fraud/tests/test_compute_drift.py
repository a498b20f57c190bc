"""Drift of stored decisions, tenant by tenant and together, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from weir_common.ids import TenantId
from weir_fraud.adapters.memory_drift import MemoryDrift
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.compute_drift import ComputeDrift, DriftLimits
from weir_fraud.domain.contributions import contributions_of
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.drift import Baseline, Baselines, DriftReport
from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.drift_metrics import DriftMetrics
from weir_fraud.errors import DecisionStoreUnavailable
from weir_fraud.ports import Snapshots
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_shadow import ALL_TENANTS

SHOP, OTHER, QUIET = TenantId("shop"), TenantId("other"), TenantId("quiet")
DAY = timedelta(days=1)
LIMITS = DriftLimits(
    every=timedelta(hours=1),
    window=DAY,
    least_decisions=10,
    most_decisions=500,
    label_delay=7 * DAY,
    calibration=30 * DAY,
    least_frauds=2,
)
BASELINES = Baselines(
    rows=100,
    features={"amount": Baseline((100.0,), (0.9, 0.1, 0.0)), "hour_of_day": Baseline((), (1.0, 0.0))},
    score=Baseline((0.05,), (0.9, 0.1, 0.0)),
)


class Metrics(DriftMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[TenantId, DriftReport] = {}

    def told(self, tenant_id: TenantId, report: DriftReport, *, of_all: bool) -> None:
        super().told(tenant_id, report, of_all=of_all)
        assert of_all == (tenant_id == ALL_TENANTS)
        self.reports[tenant_id] = report


class Store(MemoryDrift):
    away: TenantId | None = None

    async def snapshots(self, tenant_id: TenantId, *rest: Any) -> Snapshots:
        if tenant_id == self.away:
            raise DecisionStoreUnavailable("away")
        return await super().snapshots(tenant_id, *rest)


@pytest.fixture
def toy(toys: Any) -> Any:
    files = toys.files("a", says=0.1)
    card = msgspec.structs.replace(toys.card("a", says=0.1), baselines=BASELINES)
    return toys.open(files | {"model.json": msgspec.json.encode(card)})


@pytest.fixture
async def template(
    features: Any, toy: Any, catalogue: Any, in_force: Any, clock: Any, make_payment: Callable[..., Payment]
) -> Decision:
    score = ScorePayments(features, OneModel(toy), catalogue, in_force, clock)
    (decision,) = await score([make_payment(amount="10.00")], Source.HTTP)
    return decision


def compute(store: MemoryDrift, toy: Any, metrics: Metrics, now: datetime) -> ComputeDrift:
    return ComputeDrift(store, OneModel(toy), lambda: [SHOP, OTHER, QUIET], metrics, LIMITS, lambda: now)


def some(template: Decision, tenant: TenantId, count: int, age: timedelta, **members: Any) -> list[Decision]:
    return [
        replace(
            template,
            tenant_id=tenant,
            event_id=f"{abs(hash((tenant, age, n))) % 10**8:08d}-0000-4000-8000-{n:012d}",
            decided_at=template.decided_at - age - timedelta(seconds=n),
            **members,
        )
        for n in range(count)
    ]


async def test_each_tenant_and_all_together(template: Decision, toy: Any) -> None:
    store, metrics, now = Store(), Metrics(), template.decided_at
    dear = contributions_of(
        part._replace(value=500.0) if part.feature == "amount" else part for part in template.contributions
    )
    store.decisions += some(template, SHOP, 90, timedelta(hours=1), score=0.01)
    store.decisions += some(template, SHOP, 10, timedelta(hours=2), score=0.1, contributions=dear)
    store.decisions += some(template, SHOP, 300, timedelta(hours=25), score=0.9, contributions=dear)
    store.decisions += some(template, SHOP, 50, timedelta(hours=3), score=0.9, model_version="another")
    store.decisions += some(template, OTHER, 100, timedelta(hours=1), score=0.1, contributions=dear)
    await compute(store, toy, metrics, now)()
    shop = await store.report(SHOP, "a")
    assert shop is not None
    assert (shop.decisions, shop.since) == (100, now - DAY)
    assert shop.score_psi == pytest.approx(0)
    assert shop.features == pytest.approx({"amount": 0, "hour_of_day": 0})
    other = await store.report(OTHER, "a")
    assert other is not None
    assert other.worst is not None
    assert other.worst[0] == "amount"
    assert other.worst[1] > 0.25
    assert await store.report(QUIET, "a") is None
    every = await store.report(ALL_TENANTS, "a")
    assert every is not None
    assert every.decisions == 200
    assert every.score_psi is not None
    assert 0 < every.score_psi < (other.score_psi or 0)
    assert set(metrics.reports) == {SHOP, OTHER, ALL_TENANTS}


async def test_calibration_of_what_is_old_enough(template: Decision, toy: Any) -> None:
    store, metrics, now = Store(), Metrics(), template.decided_at
    old = some(template, SHOP, 10, 8 * DAY, score=0.1, outcome=Outcome.APPROVE)
    store.decisions += old
    store.decisions += some(template, SHOP, 10, 6 * DAY, score=0.9, outcome=Outcome.APPROVE)
    store.decisions += some(template, SHOP, 10, 38 * DAY, score=0.9, outcome=Outcome.APPROVE)
    store.decisions += some(template, SHOP, 3, 9 * DAY, score=0.9, outcome=Outcome.DECLINE)
    for one in old[:2]:
        store.labels.append(label(one, LabelKind.CHARGEBACK, now))
    store.labels += [label(old[2], LabelKind.CONFIRMED, now - DAY), label(old[2], LabelKind.CLEARED, now)]
    await compute(store, toy, metrics, now)()
    report = await store.report(SHOP, "a")
    assert report is not None
    assert (report.calibration.decisions, report.calibration.labelled, report.calibration.frauds) == (10, 3, 2)
    assert report.calibration_ratio == pytest.approx(2.0)
    assert report.calibration_brier == pytest.approx((2 * 0.81 + 8 * 0.01) / 10)
    assert (report.score_psi, report.decisions) == (None, 0)


async def test_what_cannot_be_read_of_one_keeps_nothing_from_the_others(template: Decision, toy: Any) -> None:
    store, metrics = Store(), Metrics()
    store.away = SHOP
    store.decisions += some(template, SHOP, 20, timedelta(hours=1)) + some(template, OTHER, 20, timedelta(hours=1))
    await compute(store, toy, metrics, template.decided_at)()
    assert set(metrics.reports) == {OTHER, ALL_TENANTS}
    assert metrics.reports[ALL_TENANTS].decisions == 20


async def test_no_more_is_read_than_the_bound(template: Decision, toy: Any) -> None:
    store, metrics = Store(), Metrics()
    store.decisions += some(template, SHOP, 600, timedelta(hours=1))
    await compute(store, toy, metrics, template.decided_at)()
    assert metrics.reports[SHOP].decisions == 500


async def test_a_model_without_baselines_says_so(template: Decision, toys: Any) -> None:
    store, metrics = Store(), Metrics()
    store.decisions += some(template, SHOP, 20, timedelta(hours=1))
    await compute(store, toys.open(toys.files("a", says=0.1)), metrics, template.decided_at)()
    assert (metrics.reports[SHOP].has_baselines, metrics.reports[SHOP].score_psi) == (False, None)


def label(decision: Decision, kind: LabelKind, at: datetime) -> Label:
    return Label(
        tenant_id=decision.tenant_id,
        event_id=decision.event_id,
        kind=kind,
        occurred_at=at,
        recorded_at=at,
        recorded_by="op",
        source=LabelSource.FEEDBACK,
    )
