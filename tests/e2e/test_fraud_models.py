"""Models change while payments are scored: promotion, a refusal, a tenant's own, a shadow, and the way back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_common.postgres import postgres_pool
from weir_common.settings import PostgresSettings
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.onnx_model import CARD, read_folder
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.domain.model import ModelCard, Thresholds
from weir_fraud.load_models import PublishModel
from weir_local.addresses import environment_of
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

PATH = "/api/v2/ml/models/fraud"
IN_FORCE_SECONDS = 5.0


async def call(gateway: Gateway, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
    answer = await gateway.operator(method, PATH + path, **options)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def score(gateway: Gateway, shop: Any) -> dict[str, Any]:
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    event["event_data"]["user_context"]["user_id"] = uuid.uuid4().hex
    answer = await gateway.client.post("/api/v2/ml/inference/fraud", json={"event": event}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def decided_by(gateway: Gateway, shop: Any, version: str) -> dict[str, Any]:
    """The first decision by a version, within the time that is promised."""
    began = time.monotonic()
    while (decision := await score(gateway, shop))["model_version"] != version:
        assert time.monotonic() - began < IN_FORCE_SECONDS, decision["model_version"]
        await asyncio.sleep(0.05)
    return decision


def backtest(version: str, champion: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    figures = {
        "auc": {"value": 0.9, "low": 0.89, "high": 0.91},
        "average_precision": {"value": 0.7, "low": 0.68, "high": 0.72},
        "card_precision_100": {"value": 0.3, "low": 0.29, "high": 0.31},
        "review_rate": 0.01,
        "decline_rate": 0.01,
    }
    return {
        "data_from": (now - timedelta(days=8)).isoformat(),
        "data_until": (now - timedelta(days=1)).isoformat(),
        "payments": 50_000,
        "frauds": 500,
        "data_sha256": "0" * 64,
        "candidate": {"version": version, **figures},
        "champion": {"version": champion, **figures},
    }


def by_command(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `weir fraud models …`."""
    weir = str(Path(sys.executable).with_name("weir"))
    asked = subprocess.run(
        [weir, "fraud", "models", *arguments, "--json"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert asked.stdout, asked.stderr
    return asked.returncode, json.loads(asked.stdout)


def gate_by_command(version: str) -> tuple[int, bool]:
    """Whether it passes, as the command says it."""
    code, found = by_command("gate", version, "--stage", "challenger")
    return code, found["passed"]


@pytest.fixture
def environment(mesh: Mesh) -> dict[str, str]:
    return environment_of(mesh, "fraud")


@pytest.fixture
async def variants(environment: dict[str, str], gateway: Gateway) -> AsyncIterator[list[str]]:
    """The mesh's own model under three more names; the first sends all to review, the third is broken in the storage."""
    settings = PostgresSettings.model_validate(
        {
            "dsn": environment["WEIR_FRAUD_POSTGRES__DSN"],
            "owner_dsn": environment["WEIR_FRAUD_POSTGRES__OWNER_DSN"],
        }
    )
    files = read_folder(Path(environment["WEIR_FRAUD_MODEL_DIR"]))
    card = msgspec.json.decode(files[CARD], type=ModelCard)
    store = Path(environment["WEIR_FRAUD_MODELS__STORE"])
    before = (await call(gateway, "GET", ""))["version"]
    names: list[str] = []
    async with postgres_pool(settings, "e2e") as pool:
        registry = PostgresModels(pool, lambda: None)
        publish = PublishModel(open_object_files(store.absolute().as_uri()), registry, lambda: datetime.now(UTC))
        for review in (0.0, card.thresholds.review, card.thresholds.review):
            version = f"fraud-e2e-{uuid.uuid4().hex[:8]}"
            thresholds = Thresholds(review=review, decline=1.0)
            variant = msgspec.structs.replace(card, version=version, thresholds=thresholds)
            await publish(variant, files | {CARD: msgspec.json.encode(variant)})
            names.append(version)
        broken = await registry.version(names[2])
        assert broken is not None
        assert broken.folder is not None
        (store / broken.folder / "model.onnx").write_bytes(files["model.onnx"] + b" ")
    yield names
    if (await call(gateway, "GET", f"/versions/{before}"))["stage"] != "champion":
        body = {"stage": "champion", "note": "e2e ends", "override_gate": "It decided before this test"}
        await call(gateway, "POST", f"/versions/{before}/promote", json=body)
    for version in names:
        if (await call(gateway, "GET", f"/versions/{version}"))["stage"] != "retired":
            await call(gateway, "POST", f"/versions/{version}/promote", json={"stage": "retired", "note": "e2e ends"})


async def test_a_model_is_swapped_under_load_and_back(
    gateway: Gateway, make_shop: Any, variants: list[str], superuser: asyncpg.Connection
) -> None:
    shop, other = await make_shop(), await make_shop()
    strict, alike, broken = variants
    before = (await score(gateway, shop))["model_version"]
    thresholds = {before: (await call(gateway, "GET", ""))["thresholds"]}
    for version in variants:
        thresholds[version] = (await call(gateway, "GET", f"/versions/{version}"))["thresholds"]
    stop = asyncio.Event()

    async def pay() -> list[dict[str, Any]]:
        decided = []
        while not stop.is_set():
            decided.append(await score(gateway, shop))
            await asyncio.sleep(0.02)
        return decided

    paying = [asyncio.create_task(pay()) for _ in range(4)]
    unproven = await call(gateway, "POST", f"/versions/{strict}/promote", 409, json={"stage": "champion"})
    assert {"backtest_frauds", "auc_low", "shadow_decisions", "reviews_per_day"} <= {
        check["name"] for check in unproven["failed"]
    }
    assert (await decided_by(gateway, other, before))["model_version"] == before
    reason = "It sends everybody to review, which this test wants to see"
    body = {"stage": "champion", "note": "e2e", "override_gate": reason}
    await call(gateway, "POST", f"/versions/{strict}/promote", json=body)
    swapped = await decided_by(gateway, other, strict)
    assert (swapped["model_outcome"], swapped["thresholds"]["review"]) == ("review", 0.0)
    refused = await call(gateway, "POST", f"/versions/{broken}/promote", 409, json={"stage": "champion"})
    assert refused["reason"] == "hash"
    code, listed = await asyncio.to_thread(by_command, "list")
    stages = {one["version"]: one["stage"] for one in listed["versions"]}
    assert (code, stages[strict], stages[before]) == (0, "champion", "retired")
    code, back = await asyncio.to_thread(by_command, "rollback", "--note", "e2e")
    assert (code, back["version"], back["stage"]) == (0, before, "champion")
    await decided_by(gateway, other, before)
    stop.set()
    decided = [one for some in await asyncio.gather(*paying) for one in some]
    assert {one["model_version"] for one in decided} == {before, strict}
    assert all(one["thresholds"] == thresholds[one["model_version"]] for one in decided)

    (change, *_) = (await call(gateway, "GET", f"/versions/{strict}"))["changes"][1:]
    assert change["gate"]["override"] == reason, "for ever, also when it does not decide any more"

    # A challenger by evidence: as good as the champion on the same payments.
    await call(gateway, "POST", f"/versions/{alike}/promote", 409, json={"stage": "challenger"})
    recorded = await call(gateway, "POST", f"/versions/{alike}/backtests", json=backtest(alike, before))
    assert await asyncio.to_thread(gate_by_command, alike) == (0, True)
    assert await asyncio.to_thread(gate_by_command, strict) == (1, False)
    await call(gateway, "POST", f"/versions/{alike}/promote", json={"stage": "challenger"})
    (change, *_) = (await call(gateway, "GET", f"/versions/{alike}"))["changes"]
    assert (change["gate"]["backtest"], change["gate"]["override"]) == (recorded["number"], None)
    await call(gateway, "PUT", "/override", json={"version": alike}, params={"tenant_id": shop.tenant_id})
    await decided_by(gateway, shop, alike)
    assert (await score(gateway, other))["model_version"] == before
    own = (await gateway.client.get(PATH, headers=shop.headers)).json()
    assert (own["version"], own["override"]) == (alike, True)
    await call(gateway, "DELETE", "/override", params={"tenant_id": shop.tenant_id})
    await decided_by(gateway, shop, before)
    assert (await gateway.client.post(f"{PATH}/rollback", headers=shop.headers)).status_code == 403


async def test_a_shadow_is_compared_with_what_was_decided(
    gateway: Gateway, make_shop: Any, variants: list[str]
) -> None:
    shop, other = await make_shop(), await make_shop()
    strict = variants[0]
    await call(gateway, "POST", f"/versions/{strict}/promote", json={"stage": "shadow"})
    report: dict[str, Any] = {"payments": 0}
    async with asyncio.timeout(30):
        while report["payments"] < 3:
            assert (await score(gateway, shop))["model_version"] != strict
            await asyncio.sleep(0.5)
            report = await call(gateway, "GET", f"/versions/{strict}/shadow", params={"tenant_id": shop.tenant_id})
    assert report["would_review_rate"] + report["would_decline_rate"] == 1
    assert report["agreement"] == report["review_rate"] + report["decline_rate"]
    nothing = await call(gateway, "GET", f"/versions/{strict}/shadow", params={"tenant_id": other.tenant_id})
    assert nothing["payments"] == 0
    every = await call(gateway, "GET", f"/versions/{strict}/shadow")
    assert every["payments"] >= report["payments"]
