"""What is refused is kept, told why, mended and sent on, through the gateway."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e

PATH = "/api/v2/events/quarantine"
MOVE = [{"op": "move", "from": "/event_metadata/time", "path": "/event_metadata/timestamp"}]


def misnamed(tenant: str, user: str = "ada@example.com") -> dict[str, Any]:
    """A payment whose sender calls the timestamp ``time``."""
    event = attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))
    event["event_metadata"]["time"] = event["event_metadata"].pop("timestamp")
    event["event_data"]["user_context"]["user_id"] = user
    return event


async def refuse(gateway: Gateway, shop: Any, *events: dict[str, Any]) -> list[str]:
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": list(events)}, headers=shop.headers)
    results = answer.json()["results"]
    assert {result["status"] for result in results} == {"quarantined"}, answer.text
    return [result["quarantine_id"] for result in results]


async def get(gateway: Gateway, shop: Any, path: str = "", **parameters: str) -> dict[str, Any]:
    answer = await gateway.client.get(PATH + path, params=parameters, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def post(gateway: Gateway, shop: Any, path: str, **body: Any) -> dict[str, Any]:
    answer = await gateway.client.post(PATH + path, json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def until_held(gateway: Gateway, shop: Any, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(15):
        while True:
            held: list[dict[str, Any]] = (await get(gateway, shop))["events"]
            if sum(event["seen"] for event in held) >= count:
                return held
            await asyncio.sleep(0.1)


async def test_refused_events_are_mended_and_reach_the_dashboard(gateway: Gateway, shop: Any) -> None:
    events = [misnamed(shop.tenant_id) for _ in range(3)]
    ids = await refuse(gateway, shop, *events)
    assert await refuse(gateway, shop, events[0]) == ids[:1], "the same text has the same id"
    held = await until_held(gateway, shop, 4)
    assert {event["quarantine_id"]: event["seen"] for event in held} == dict(zip(ids, (2, 1, 1), strict=True))
    (reason, *_) = (await get(gateway, shop, "/reasons"))["reasons"]
    assert (reason["pointer"], reason["entries"], reason["events"]) == ("/event_metadata/timestamp", 3, 4)
    looked = await get(gateway, shop, f"/{ids[0]}")
    assert looked["event"] == events[0]
    assert [error["pointer"] for error in looked["errors"]] == ["/event_metadata/timestamp"]
    selection = {"pointer": "/event_metadata/timestamp"}
    tried = await post(gateway, shop, "/mend", selection=selection, patch=MOVE, dry_run=True)
    assert (tried["summary"]["valid"], tried["dry_run"]) == (3, True)
    done = await post(gateway, shop, "/mend", selection=selection, patch=MOVE)
    assert done["summary"]["accepted"] == 3, done
    assert (await get(gateway, shop))["events"] == []
    assert len((await get(gateway, shop, state="replayed"))["events"]) == 3
    async with asyncio.timeout(20):
        while True:
            dashboard = await gateway.client.get(
                "/api/v2/analytics/realtime/dashboard", params={"tenant_id": shop.tenant_id}, headers=shop.headers
            )
            if [figure["value"] for figure in dashboard.json()["metrics"]["orders"]["figures"]] == ["3"]:
                break
            await asyncio.sleep(0.2)
    async with asyncio.timeout(20):
        while True:
            receipts = [
                await gateway.client.get(
                    f"/api/v2/events/receipts/{event['event_metadata']['event_id']}", headers=shop.headers
                )
                for event in events
            ]
            if {receipt.status_code for receipt in receipts} == {200}:
                break
            await asyncio.sleep(0.2)


async def test_another_tenant_sees_none_and_mends_none(
    gateway: Gateway, shop: Any, make_shop: Callable[[], Awaitable[Any]]
) -> None:
    (quarantine_id,) = await refuse(gateway, shop, misnamed(shop.tenant_id))
    await until_held(gateway, shop, 1)
    other = await make_shop()
    assert (await get(gateway, other, state="all"))["events"] == []
    missing = await gateway.client.get(f"{PATH}/{quarantine_id}", headers=other.headers)
    assert missing.status_code == 404
    selection = {"quarantine_ids": [quarantine_id]}
    assert (await post(gateway, other, "/mend", selection=selection, patch=MOVE))["results"] == []
    assert await post(gateway, other, "/discard", selection=selection) == {"discarded": 0}
    assert await post(gateway, shop, "/discard", selection=selection) == {"discarded": 1}
    gone = await get(gateway, shop, f"/{quarantine_id}")
    assert (gone["state"], "event" in gone) == ("discarded", False)


async def test_nothing_of_a_refused_event_is_in_the_table_in_clear(
    gateway: Gateway, shop: Any, superuser: asyncpg.Connection
) -> None:
    await refuse(gateway, shop, misnamed(shop.tenant_id, "planted.value@example.com"))
    await until_held(gateway, shop, 1)
    rows = await superuser.fetch(
        "SELECT row_to_json(q)::text || encode(sealed, 'escape') AS everything FROM ingest.quarantined_event AS q "
        "WHERE tenant_id = $1",
        shop.tenant_id,
    )
    assert rows
    assert not any("planted" in row["everything"] for row in rows)


async def test_a_name_that_no_database_takes_is_kept_and_found(gateway: Gateway, shop: Any) -> None:
    event = misnamed(shop.tenant_id)
    text = msgspec.json.encode(event)[:-1] + b',"a\\u0000b":1,"a\\u0000b":2}'
    answer = await gateway.client.post(
        "/api/v2/events/batch", content=text, headers={**shop.headers, "content-type": "application/x-ndjson"}
    )
    assert answer.json()["results"][0]["status"] == "quarantined", answer.text
    (held,) = await until_held(gateway, shop, 1)
    pointers = [reason["pointer"] for reason in held["reasons"]]
    assert "/a\ufffdb" in pointers
    for pointer in ("/a\ufffdb", "/a\x00b"):
        assert len((await get(gateway, shop, pointer=pointer))["events"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/mend", {"selection": {}}, "/selection"),
        ("/mend", {}, "/selection"),
        ("/mend", {"selection": {"event_type": "transaction"}, "patch": [{"op": "mend"}]}, "/patch/0"),
        ("/mend", {"selection": {"event_type": "transaction"}, "limit": 0}, "/limit"),
        ("/mend", {"selection": {"quarantine_ids": ["x"]}}, "/selection/quarantine_ids/0"),
        ("/mend", {"selection": {"since": "2026-11-25T10:00:00"}}, "/selection/since"),
        ("/mend", {"selection": {"event_type": "nothing"}}, "/selection/event_type"),
        ("/discard", {"selection": {}}, "/selection"),
        ("/discard", {"selection": {"tenant_id": "x"}}, "/selection"),
    ],
)
async def test_a_request_that_is_none_is_told_where(
    gateway: Gateway, shop: Any, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await gateway.client.post(PATH + path, json=body, headers=shop.headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"].startswith(pointer), answer.text


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "x"},
        {"state": "lost"},
        {"event_type": "nothing"},
        {"since": "yesterday"},
        {"since": "2026-11-25T10:00:00"},
        {"cursor": "x"},
    ],
)
async def test_a_parameter_that_is_none_is_named(gateway: Gateway, shop: Any, parameters: dict[str, str]) -> None:
    answer = await gateway.client.get(PATH, params=parameters, headers=shop.headers)
    assert answer.status_code in (400, 422), answer.text
    (name,) = parameters
    assert answer.json()["errors"][0]["parameter"] == name
