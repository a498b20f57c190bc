"""The alert rules of fraud name metrics and labels as they are exposed, and say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from weir_common.ids import TenantId
from weir_fraud import decline_metrics, drift_metrics, model_metrics
from weir_fraud.domain.drift import Calibration, DriftReport
from weir_fraud.errors import Refusal

ALERTS = Path(__file__).parents[3] / "docs/operations/alerts.yaml"
SHOP = TenantId("shop")


@pytest.fixture
def exposed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives what `/metrics` says; instruments that are made meanwhile go there."""
    reader = PrometheusMetricReader()
    provider = MeterProvider(metric_readers=[reader])

    def of(module: ModuleType) -> None:
        monkeypatch.setattr(module, "meter", lambda: provider.get_meter("test"))

    for module in (decline_metrics, drift_metrics, model_metrics):
        of(module)
    registry = CollectorRegistry()
    registry.register(reader._collector)
    yield lambda: generate_latest(registry).decode()
    provider.shutdown()


def rules() -> list[dict[str, Any]]:
    (group,) = (one for one in yaml.safe_load(ALERTS.read_text())["groups"] if one["name"] == "weir-fraud")
    found: list[dict[str, Any]] = group["rules"]
    return found


def tell_everything() -> None:
    declines = decline_metrics.DeclineMetrics()
    declines.halted(SHOP, True)
    declines.share(SHOP, 0.1, True)
    models = model_metrics.ModelMetrics()
    models.refused(Refusal.HASH)
    models.unserved(SHOP)
    at = datetime(2026, 3, 4, tzinfo=UTC)
    report = DriftReport(
        version="a",
        computed_at=at,
        since=at,
        decisions=1,
        least_decisions=1,
        has_baselines=True,
        score_psi=0.3,
        features={"amount": 0.3},
        calibration=Calibration(since=at, until=at, decisions=1, labelled=1, frauds=1, expected=1, squares=0),
        calibration_ratio=1.0,
        calibration_brier=0.0,
        least_frauds=1,
    )
    drift_metrics.DriftMetrics().told(SHOP, report, of_all=True)


def test_rules_name_metrics_and_labels_as_they_are_exposed(exposed: Any) -> None:
    tell_everything()
    text = exposed()
    for rule in rules():
        names = re.findall(r"weir_fraud_\w+", re.sub(r"by \([^)]*\)", "", rule["expr"]))
        assert names, rule["alert"]
        for name in names:
            (sample,) = [line for line in text.splitlines() if line.startswith(f"{name}{{")][:1]
            for labels in re.findall(r"by \(([^)]*)\)", rule["expr"]):
                for label in labels.split(", "):
                    assert f'{label}="' in sample, (rule["alert"], label)


def test_every_rule_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert "{{" in rule["annotations"]["summary"]
        assert re.search(r"`(weir|GET|POST)", rule["annotations"]["description"]), rule["alert"]
    halted = next(rule for rule in rules() if rule["alert"] == "WeirDeclinesHalted")
    assert "attack" in halted["annotations"]["description"]
