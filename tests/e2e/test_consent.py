"""What a subject refuses is withheld, through the whole mesh: figures, sessions, receipts, the archive, and what goes on all the same."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import asyncpg
import httpx
import pytest
from weir_analytics.adapters.iceberg_archive import open_catalogue, open_table
from weir_analytics.entrypoints.verify import verify
from weir_analytics.settings import AnalyticsSettings
from weir_common.ids import TenantId
from weir_local.addresses import environment_of
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

NAMES = ("analytics", "marketing", "tracking")
COMBINATIONS = list(product((True, False, None), repeat=3))
WITHHELD = {"analytics": {"behaviour", "people"}, "tracking": {"people"}, "marketing": {"marketing"}}
PAINT = 800.0


def visit(tenant: str, number: int, consents: Mapping[str, bool | None], now: datetime) -> list[dict[str, Any]]:
    """A shopper of one combination: a page, and a purchase of 12.50 USD ten seconds later; of a person and device of their own."""
    payment = attacks.payment(tenant, str(uuid.uuid4()), now)
    context = payment["event_data"]["user_context"]
    context["user_id"], context["anonymous_id"] = f"user-{number}", f"cookie-{number}"
    context.setdefault("session_data", {})["session_id"] = f"visit-{number}"
    settings = {f"{name}_consent": given for name, given in consents.items() if given is not None}
    context["user_profile"] = {**context.get("user_profile", {}), "preferences": {"privacy_settings": settings}}
    payment["event_metadata"]["source_system"] = "web_app"
    page = {
        **payment,
        "event_metadata": {
            **payment["event_metadata"],
            "event_id": str(uuid.uuid4()),
            "timestamp": (now - timedelta(seconds=10)).isoformat(),
        },
        "event_data": {
            "event_type": "user_interaction",
            "event_subtype": "page_view",
            "user_context": context,
            "business_context": {
                "interaction_context": {"page_context": {"page_load_metrics": {"largest_contentful_paint": PAINT}}}
            },
        },
    }
    payment["event_data"]["business_context"].pop("interaction_context", None)
    return [page, payment]


async def until(seconds: float, question: Any) -> Any:
    """The first answer that is true."""
    async with asyncio.timeout(seconds):
        while not (answer := await question()):
            await asyncio.sleep(0.3)
    return answer


@pytest.mark.timeout(180)
async def test_every_combination_is_routed_as_the_subject_said(
    gateway: Gateway, shop: Any, mesh: Mesh, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=2)
    consents = [dict(zip(NAMES, combination, strict=True)) for combination in COMBINATIONS]
    visits = [visit(shop.tenant_id, number, each, now) for number, each in enumerate(consents)]
    refused = {
        event["event_metadata"]["event_id"]: {name for name in NAMES if each[name] is False}
        for each, events in zip(consents, visits, strict=True)
        for event in events
    }
    answer = await gateway.send_batch(shop.key, [event for events in visits for event in events])

    # the receipt, in the batch's result and when it is looked up
    for result in answer["results"]:
        assert result["status"] == "accepted"
        told = refused[result["event_id"]]
        withheld = set().union(*(WITHHELD[name] for name in told))
        consent = result["receipt"].get("consent", {"refused": [], "withheld": []})
        assert (set(consent["refused"]), set(consent["withheld"])) == (told, withheld)
        assert ("consent" in result["receipt"]) == bool(told)
        looked_up = await gateway.client.get(f"/api/v2/events/receipts/{result['event_id']}", headers=shop.headers)
        assert looked_up.json()["receipt"] == result["receipt"]

    # the figures
    everybody = len(COMBINATIONS)
    measured = sum(each["analytics"] is not False for each in consents)
    known_again = sum(each["analytics"] is not False and each["tracking"] is not False for each in consents)
    assert known_again < measured < everybody

    async def dashboard() -> Any:
        document = (await gateway.client.get("/api/v2/analytics/realtime/dashboard", headers=shop.headers)).json()
        counted = document["metrics"]["orders"]["figures"]
        return document if counted and int(counted[0]["value"]) == everybody else None

    document = await until(20, dashboard)
    figures = {name: metric["figures"] for name, metric in document["metrics"].items()}
    assert figures["total_sales"] == [{"currency": "USD", "value": f"{12.5 * everybody:.1f}", "count": everybody}]
    assert figures["active_people"][0]["value"] == known_again
    assert figures["sessions"][0]["value"] == str(known_again)
    assert figures["session_conversion_rate"][0] == {
        "value": "1",
        "numerator": str(known_again),
        "denominator": str(known_again),
    }
    assert figures["page_load_p95"][0]["count"] == measured
    assert document["left_out"]["analytics_refused"] == 2 * (everybody - measured)
    assert document["left_out"]["tracking_refused"] == 2 * sum(each["tracking"] is False for each in consents)

    # the door's own count, by tenant and purpose
    counted = await withheld_at_the_door(mesh, shop.tenant_id)
    assert counted == {
        purpose: 2 * sum(any(each[name] is False and purpose in WITHHELD[name] for name in NAMES) for each in consents)
        for purpose in ("behaviour", "people", "marketing")
    }

    # no session of whoever refused, no trace of their device
    devices = {
        row["device"]
        for row in await superuser.fetch(
            "SELECT device FROM analytics.device_activity WHERE tenant_id = $1", shop.tenant_id
        )
    }
    assert len(devices) == known_again

    # security sees all of them
    async def all_scored() -> bool:
        answers = [
            await gateway.client.get(
                f"/api/v2/ml/decisions/{events[1]['event_metadata']['event_id']}", headers=shop.headers
            )
            for events in visits
        ]
        return all(each.status_code == 200 for each in answers)

    assert await until(20, all_scored)

    async def all_in_the_fraud_rate() -> bool:
        rates = (await dashboard())["metrics"]["fraud_rate"]["figures"]
        return any(rate["basis"] == "count" and rate["denominator"] == str(everybody) for rate in rates)

    assert await until(20, all_in_the_fraud_rate)

    # the archive keeps every event and says what may not be done with it
    for name, value in environment_of(mesh, "analytics").items():
        monkeypatch.setenv(name, value)
    settings = AnalyticsSettings()
    archived = await until(60, lambda: asyncio.to_thread(archive, settings, shop.tenant_id, len(refused)))
    assert archived == {event_id: ",".join(sorted(told)) or None for event_id, told in refused.items()}

    # and the recomputation from it, which reads the events themselves, comes to the same figures
    async def equal() -> bool:
        tenant = TenantId(shop.tenant_id)
        return await verify(settings, tenant, now - timedelta(hours=1), datetime.now(UTC)) == []

    assert await until(60, equal), "decisions are archived by commits of their own, perhaps later"

    # the books balance: what is withheld from a figure is applied all the same
    async def balanced() -> Any:
        books = (await gateway.client.get("/api/v2/ops/ledger", headers=shop.headers)).json()
        done = books["consumers"].values()
        return books["balanced"] and len(done) == 4 and all(each["applied"] == len(refused) for each in done)

    assert await until(60, balanced)


async def withheld_at_the_door(mesh: Mesh, tenant: str) -> dict[str, int]:
    """Purpose → events that it does not get, as ingest exposes it."""
    async with httpx.AsyncClient(timeout=10) as client:
        page = (await client.get(f"http://127.0.0.1:{mesh.port('ingest-http')}/metrics")).text
    lines = re.findall(r"^weir_ingest_consent_withheld_total\{(.*)\} (\S+)$", page, re.MULTILINE)
    labelled = [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in lines]
    return {labels["weir_purpose"]: int(value) for labels, value in labelled if labels["weir_tenant_id"] == tenant}


def archive(settings: AnalyticsSettings, tenant: str, expected: int) -> dict[str, str | None] | None:
    """Event id → refused consents, once there are so many."""
    lake = open_catalogue(settings.lake.catalog_dsn.get_secret_value(), settings.lake.warehouse_uri)
    try:
        rows = (
            open_table(lake, "events")
            .scan(row_filter=f"tenant_id = '{tenant}'", selected_fields=("event_id", "refused_consents"))
            .to_arrow()
            .to_pylist()
        )
    finally:
        lake.engine.dispose()
    return {row["event_id"]: row["refused_consents"] for row in rows} if len(rows) == expected else None


async def test_a_session_goes_on_without_the_events_that_must_not_continue_it(gateway: Gateway, shop: Any) -> None:
    """A subject who withdraws consent in the middle of a visit: what was before stays, what comes after is not added."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    before, _ = visit(shop.tenant_id, 0, {"tracking": True}, now)
    _, after = visit(shop.tenant_id, 0, {"tracking": False}, now)
    await gateway.send_batch(shop.key, [before, after])

    async def counted() -> Any:
        document = (await gateway.client.get("/api/v2/analytics/realtime/dashboard", headers=shop.headers)).json()
        return document["metrics"] if document["metrics"]["orders"]["figures"] else None

    metrics = await until(20, counted)
    assert metrics["sessions"]["figures"][0]["value"] == "1"
    assert metrics["session_conversion_rate"]["figures"][0]["numerator"] == "0", "the purchase is not the session's"
    assert metrics["active_people"]["figures"][0]["value"] == 1
