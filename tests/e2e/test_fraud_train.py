"""`weir fraud train` and `backtest`: what a shop sent and was told, through the gateway, ingest, Kafka and the archive, becomes a registered
model, and the evidence for its promotion."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from weir_fraud.adapters.archived_payments import ArchivedPayments, ArchiveSettings
from weir_fraud.cli import fraud
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

DAYS, LATER_DAYS, DELAY = 6, 2, 7
"""Learnt from, compared on, not looked at."""
PAYMENTS = 1_600
ARCHIVED_WITHIN = 75.0


@pytest.fixture
def environment(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command reads: this mesh."""
    for name, value in environment_of(mesh, "fraud").items():
        monkeypatch.setenv(name, value)
    lake = environment_of(mesh, "analytics")
    for name in ("WAREHOUSE", "CATALOG_DSN"):
        monkeypatch.setenv(f"WEIR_FRAUD_ARCHIVE_{name}", lake[f"WEIR_ANALYTICS_LAKE__{name}"])


async def run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, fraud, [*arguments])


def payments_of(shop: Any, now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Imported ones of the days whose labels have come back, and chargebacks of the tenth that is much larger than the rest."""
    random = Random(7)
    days = timedelta(days=DAYS + LATER_DAYS)
    begun = now - days - timedelta(days=DELAY)
    events, labels = [], []
    for number in range(PAYMENTS):
        at = begun + days * (number + 0.5) / PAYMENTS
        stolen = random.random() < 0.1
        event_id = str(uuid.uuid4())
        amount = random.lognormvariate(3, 0.3) * (random.uniform(2, 8) if stolen else 1)
        cart = {"cart_value": {"final_total": round(amount, 2), "currency": "EUR"}}
        events.append(
            {
                "schema_version": "2.2",
                "tenant_id": shop.tenant_id,
                "event_metadata": {
                    "event_id": event_id,
                    "timestamp": at.isoformat(),
                    "source_system": "batch_import",
                },
                "event_data": {
                    "event_type": "transaction",
                    "event_subtype": "purchase",
                    "user_context": {"user_id": f"customer {number % 40}"},
                    "business_context": {
                        "tenant_metadata": {"merchant_id": f"branch {number % 9}"},
                        "transaction_context": {"cart_context": cart},
                    },
                },
            }
        )
        if stolen:
            told = {"event_id": event_id, "label": "chargeback", "occurred_at": (at + timedelta(days=3)).isoformat()}
            labels.append(told)
    return events, labels


def id_of(event: dict[str, Any]) -> str:
    found: str = event["event_metadata"]["event_id"]
    return found


def in_archive(shop: Any, begun: datetime, now: datetime) -> int:
    archive = ArchivedPayments(ArchiveSettings())
    try:
        return archive.count(shop.tenant_id, begun, now)
    finally:
        archive.close()


async def archived(shop: Any, begun: datetime, now: datetime) -> None:
    """Until the archive has them all: within a minute, it is promised."""
    async with asyncio.timeout(ARCHIVED_WITHIN):
        while await asyncio.to_thread(in_archive, shop, begun, now) < PAYMENTS:
            await asyncio.sleep(2)
    assert await asyncio.to_thread(in_archive, shop, begun, now) == PAYMENTS


async def test_a_model_from_what_the_shop_sent(gateway: Gateway, shop: Any, environment: None, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    events, labels = payments_of(shop, now)
    for start in range(0, PAYMENTS, 200):
        answer = await gateway.client.post(
            "/api/v2/events/batch", json={"events": events[start : start + 200]}, headers=shop.headers
        )
        assert {one["status"] for one in answer.json()["results"]} == {"accepted"}
    answer = await gateway.client.post("/api/v2/ml/feedback/fraud", json={"labels": labels}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    await archived(shop, now - timedelta(days=30), now)

    whose = ["--tenant", shop.tenant_id, "--as-of", f"{now:%Y-%m-%dT%H:%M:%S}"]
    asked = [*whose, "--days", str(DAYS), "--label-delay-days", str(LATER_DAYS + DELAY)]
    asked += ["--validation-days", "2", "--test-days", "2", "--output", str(tmp_path / "model")]
    trained = await run("train", *asked, "--register", "--json")
    assert trained.exit_code == 0, trained.output
    card = json.loads(trained.stdout)
    assert card["training"]["rows"] == {"train": 400, "validation": 400, "test": 400}
    learnt = sum(card["training"]["frauds"].values()) + card["metrics"]["test"]["frauds"]
    assert learnt == sum(told["event_id"] in {id_of(event) for event in events[:1_200]} for told in labels)
    assert card["metrics"]["test"]["auc_roc"] > 0.9
    assert card["training"]["tenants"] == [shop.tenant_id]

    # The registry has it, and it learnt the same again: same bytes, same name.
    path = f"/api/v2/ml/models/fraud/versions/{card['version']}"
    registered = (await gateway.operator("GET", path)).json()
    assert registered["stage"] == "candidate"
    again = await run("train", *asked, "--json")
    assert json.loads(again.stdout) == card

    # On the days after those it was trained on, beside the mesh's champion; before it is registered it would be compared from its folder.
    champion = (await gateway.operator("GET", "/api/v2/ml/models/fraud")).json()["version"]
    later = [*whose, "--days", str(LATER_DAYS), "--label-delay-days", str(DELAY), "--json"]
    compared = await run("backtest", "--model", str(tmp_path / "model"), *later)
    posted = await run("backtest", card["version"], *later, "--post")
    assert (compared.exit_code, posted.exit_code) == (1, 1), "four hundred payments are too few for a promotion"
    report = json.loads(posted.stdout)
    assert json.loads(compared.stdout)["backtest"] == report["backtest"]
    backtest = report["backtest"]
    assert (backtest["payments"], backtest["frauds"]) == (400, len(labels) - learnt)
    assert (backtest["candidate"]["version"], backtest["champion"]["version"]) == (card["version"], champion)
    assert backtest["candidate"]["auc"]["value"] > 0.9
    assert report["in_sample"] == []
    kept = (await gateway.operator("GET", f"{path}/backtests")).json()["backtests"]
    assert [(one["number"], one["candidate"]) for one in kept] == [(report["number"], backtest["candidate"])]
    gate = json.loads((await run("models", "gate", card["version"], "--stage", "challenger", "--json")).stdout)
    assert gate["backtest"] == report["number"]
    seen = {check["name"]: check for check in gate["checks"]}
    assert seen["backtest_payments"]["value"] == 400
    assert seen["auc_low"]["value"] == backtest["candidate"]["auc"]["low"]
    assert [(check["name"], check["passed"]) for check in gate["checks"]] == [
        (check["name"], check["passed"]) for check in report["checks"]
    ], "the command says what the gate will say"

    # What it was trained on is no evidence, and is not sent.
    known = await run("backtest", card["version"], *whose, "--days", str(DAYS), "--post", "--json")
    assert known.exit_code == 1
    assert "not posted" in known.output
    assert {one["period"] for one in json.loads(known.stdout)["in_sample"]} == {"validation", "test"}
    assert len((await gateway.operator("GET", f"{path}/backtests")).json()["backtests"]) == 1


async def test_what_cannot_be_trained_is_said(shop: Any, environment: None, tmp_path: Path) -> None:
    none = await run("train", "--tenant", shop.tenant_id, "--output", str(tmp_path / "model"))
    assert none.exit_code == 1
    assert "are 0 frauds; 20 of each kind are needed" in none.output
    assert not (tmp_path / "model").exists()
    unknown = await run("train", "--tenant", shop.tenant_id, "--output", str(tmp_path), "--feature", "shoe_size")
    assert unknown.exit_code == 1
    assert "There is no feature shoe_size" in unknown.output
    periods = await run("train", "--tenant", shop.tenant_id, "--output", str(tmp_path), "--days", "10")
    assert periods.exit_code == 2
    assert "leave none of 10 to learn from" in periods.output


async def test_what_cannot_be_compared_is_said(gateway: Gateway, shop: Any, environment: None, tmp_path: Path) -> None:
    unknown = await run("backtest", "fraud-000000000000", "--tenant", shop.tenant_id)
    assert unknown.exit_code == 2
    assert "the registry does not have it" in unknown.output
    champion = (await gateway.operator("GET", "/api/v2/ml/models/fraud")).json()["version"]
    itself = await run("backtest", champion, "--tenant", shop.tenant_id)
    assert itself.exit_code == 1
    assert "compared with others, not with itself" in itself.output
    nothing = await run("backtest", "--tenant", shop.tenant_id)
    assert nothing.exit_code == 1
    assert "Name a version of the registry" in nothing.output
    future = await run("backtest", champion, "--tenant", shop.tenant_id, "--as-of", "2400-01-01")
    assert future.exit_code == 2
    assert "has not been yet" in future.output
