"""What the mesh keeps of people: random ids downstream, the originals for their own subject only, and erasure by a key."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.bootstrap import OpenVault, open_vault
from weir_compliance.open_archive import open_archive
from weir_compliance.settings import Settings as ComplianceSettings
from weir_local.addresses import environment_of
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

EXPORT = "/api/v2/data/export/gdpr"
TABLET = "fp-of-the-shared-tablet"
CARD = "tok_4f2a9b7c"
PLACE = {"lat": 52.520008, "lon": 13.404954}


@pytest.fixture
async def vault(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenVault]:
    """The mesh's own, as compliance opens it."""
    for name, value in environment_of(mesh, "compliance").items():
        monkeypatch.setenv(name, value)
    settings = ComplianceSettings()
    async with open_vault(settings.vault, "e2e") as opened:
        yield opened


def purchase(shop: Any, user_id: str, cookie: str) -> dict[str, Any]:
    """At an exact place, on the shared tablet, with a card."""
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    user = event["event_data"]["user_context"]
    user |= {"user_id": user_id, "anonymous_id": cookie}
    user["session_data"]["session_attributes"] |= {
        "device_fingerprint": TABLET,
        "geolocation": {"country": "DE", "coordinates": PLACE},
    }
    cart = event["event_data"]["business_context"]["transaction_context"]["cart_context"]
    cart["payment_context"]["payment_methods"][0]["tokenized_identifier"] = CARD
    return event


async def archived(gateway: Gateway, shop: Any, event_id: str) -> None:
    async with asyncio.timeout(90):
        while True:
            answer = await gateway.client.get(f"/api/v2/events/receipts/{event_id}", headers=shop.headers)
            if all(fate["state"] == "done" for fate in answer.json()["fates"]):
                return
            await asyncio.sleep(0.5)


async def exported(gateway: Gateway, shop: Any, folder: Path, **subject: Any) -> tuple[Any, dict[str, list[Any]]]:
    """The manifest, and each service's records."""
    body = {"tenant_id": shop.tenant_id, "subject": subject}
    answer = await gateway.client.post(EXPORT, json=body, headers=shop.headers)
    assert answer.status_code == 202, answer.text
    path = f"{EXPORT}/{answer.json()['request_id']}"
    async with asyncio.timeout(90):
        while (await gateway.client.get(path, headers=shop.headers)).json()["status"] != "fulfilled":
            await asyncio.sleep(0.3)
    key = (await gateway.client.post(f"{path}/download-key", headers=shop.headers)).json()["identity"]
    archive = await gateway.client.get(f"{path}/download", headers=shop.headers)
    file = folder / f"{uuid.uuid4()}.age"
    file.write_bytes(archive.content)
    opened = await asyncio.to_thread(open_archive, file, key, folder / f"{uuid.uuid4()}")
    records = {
        service["service"]: [
            json.loads(line)["data"] for line in (opened.folder / service["path"]).read_text().splitlines()
        ]
        for service in opened.manifest["services"]  # type: ignore[attr-defined]
    }
    return opened.manifest, records


async def test_an_export_has_the_originals_of_its_own_subject_and_nothing_of_who_shares_the_device(
    gateway: Gateway, shop: Any, tmp_path: Path
) -> None:
    ann, ben = purchase(shop, "ann@example.com", "cookie-of-both"), purchase(shop, "ben@example.com", "cookie-of-both")
    await gateway.send_batch(shop.key, [ann, ben])
    await archived(gateway, shop, ann["event_metadata"]["event_id"])
    await archived(gateway, shop, ben["event_metadata"]["event_id"])
    manifest, records = await exported(
        gateway, shop, tmp_path, user_id="ann@example.com", anonymous_id="cookie-of-both"
    )
    events = {one["event_metadata"]["event_id"]: one for one in records["analytics"] if "event_metadata" in one}
    own = events[ann["event_metadata"]["event_id"]]
    assert own["event_data"] == ann["event_data"], "as it was sent, to the last digit"
    assert "sealed" not in own
    other = events[ben["event_metadata"]["event_id"]]
    assert other["event_data"]["user_context"]["anonymous_id"] == "cookie-of-both", "hers too, whoever was logged in"
    assert other["sealed"]
    everything = json.dumps(records)
    assert "ben@example.com" not in everything
    for service in manifest["services"]:
        reasons = {one["reason"]: one["records"] for one in service["left_sealed"]}
        assert reasons == ({"another_person": 1} if service["service"] == "analytics" else {})
    decisions = {one["event_id"]: one for one in records["fraud"] if "outcome" in one}
    assert decisions[ann["event_metadata"]["event_id"]]["user_id"] == "ann@example.com"


async def test_the_same_payment_is_the_same_person_here_and_on_the_stream(
    gateway: Gateway, shop: Any, mesh: Mesh, superuser: Any
) -> None:
    """Scored before ingest has seen the person, and again as another event of theirs on the log."""
    first, second = purchase(shop, "eve-1", "cookie-1"), purchase(shop, "eve-1", "cookie-1")
    answer = await gateway.client.post("/api/v2/ml/inference/fraud", json={"event": first}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    await gateway.send_batch(shop.key, [second])
    async with asyncio.timeout(30):
        while True:
            path = f"/api/v2/ml/decisions/{second['event_metadata']['event_id']}"
            streamed = await gateway.client.get(path, headers=shop.headers)
            if streamed.status_code == 200:
                break
            await asyncio.sleep(0.2)
    found = await gateway.subject_ids(shop.key, {"user_ids": ["eve-1"], "anonymous_ids": ["cookie-1"]})
    rows = await superuser.fetch(
        "SELECT user_id, anonymous_id, subject, source FROM fraud.decision WHERE tenant_id = $1", shop.tenant_id
    )
    own = found["user_ids"]["eve-1"], found["anonymous_ids"]["cookie-1"], found["user_ids"]["eve-1"]
    assert sorted((row["source"], *list(row)[:3]) for row in rows) == [("http", *own), ("stream", *own)]
    counts = {part["feature"]: part["value"] for part in streamed.json()["contributions"]}
    assert counts["user_payment_count_1h"] == counts["device_payment_count_1h"] == 2
    assert counts["distance_from_last_location"] == 0


async def test_who_is_looked_up_is_found_and_another_shop_has_other_ids(
    gateway: Gateway, make_shop: Any, superuser: Any
) -> None:
    one, two = await make_shop(), await make_shop()
    for shop in (one, two):
        await gateway.send_batch(shop.key, [purchase(shop, "zoe-1", "cookie-1")])
    asked = {"user_ids": ["zoe-1", "nobody"], "anonymous_ids": ["cookie-1"], "device_fingerprints": [TABLET]}
    here, there = await gateway.subject_ids(one.key, asked), await gateway.subject_ids(two.key, asked)
    assert here["user_ids"]["nobody"] is None
    for kind, value in (("user_ids", "zoe-1"), ("anonymous_ids", "cookie-1"), ("device_fingerprints", TABLET)):
        assert here[kind][value] is not None
        assert here[kind][value] != there[kind][value], "nothing links the customers of two shops"
    foreign = await gateway.client.post(
        f"/api/v2/compliance/subjects/lookup?tenant_id={two.tenant_id}", json=asked, headers=one.headers
    )
    assert foreign.status_code == 403


async def test_a_receipt_says_erased_once_the_key_is_gone_and_the_person_comes_back_as_somebody_else(
    gateway: Gateway, shop: Any, vault: OpenVault
) -> None:
    event = purchase(shop, "ida-1", "cookie-1")
    event_id = event["event_metadata"]["event_id"]
    await gateway.send_batch(shop.key, [event])
    path = f"/api/v2/events/receipts/{event_id}"
    assert (await gateway.client.get(path, headers=shop.headers)).json()["status"] == "accepted"
    before = (await gateway.subject_ids(shop.key, {"user_ids": ["ida-1"]}))["user_ids"]["ida-1"]
    assert before is not None
    assert await vault.vault.erase(TenantId(shop.tenant_id), SubjectId(before))
    document = (await gateway.client.get(path, headers=shop.headers)).json()
    assert (document["status"], document["erasure"]["state"]) == ("erased", "done")
    async with asyncio.timeout(5):  # every process knows of it after a second
        while (await gateway.subject_ids(shop.key, {"user_ids": ["ida-1"]}))["user_ids"]["ida-1"] is not None:
            await asyncio.sleep(0.2)
    await asyncio.sleep(1.1)
    again = purchase(shop, "ida-1", "cookie-1")
    await gateway.send_batch(shop.key, [again])
    after = (await gateway.subject_ids(shop.key, {"user_ids": ["ida-1"]}))["user_ids"]["ida-1"]
    assert after not in (None, before)
    assert (await gateway.client.get(path, headers=shop.headers)).json()["status"] == "erased"
