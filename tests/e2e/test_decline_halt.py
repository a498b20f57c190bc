"""A tenant's share of declines leaves its corridor: what would be declined is held for review, over every way in, until an operator lifts it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

DECLINES = "/api/v2/ml/declines/fraud"
POLICIES = "/api/v2/ml/policies/fraud"
IN_FORCE_SECONDS = 5.0
LEAST = 20

Headers = dict[str, str]


async def call(gateway: Gateway, who: Headers, method: str, path: str, status: int = 200, body: Any = None) -> Any:
    answer = await gateway.client.request(method, path, json=body, headers=who)
    assert answer.status_code == status, answer.text
    return answer.json()


async def person(gateway: Gateway, shop: Any, name: str) -> Headers:
    answer = await gateway.operator(
        "POST", f"/api/v2/admin/tenants/{shop.tenant_id}/tokens", json={"subject": name, "roles": ["admin"]}
    )
    answer.raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def score(gateway: Gateway, shop: Any, user: str = "") -> dict[str, Any]:
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    event["event_data"]["user_context"]["user_id"] = user or uuid.uuid4().hex
    found: dict[str, Any] = await call(
        gateway, shop.headers, "POST", "/api/v2/ml/inference/fraud", body={"event": event}
    )
    return found


async def on_the_stream(gateway: Gateway, shop: Any) -> dict[str, Any]:
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    event["event_data"]["user_context"]["user_id"] = uuid.uuid4().hex
    await call(gateway, shop.headers, "POST", "/api/v2/events/batch", 202, {"events": [event]})
    path = f"/api/v2/ml/decisions/{event['event_metadata']['event_id']}"
    async with asyncio.timeout(15):
        while (found := await gateway.client.get(path, headers=shop.headers)).status_code == 404:
            await asyncio.sleep(0.05)
    document: dict[str, Any] = found.json()
    return document


async def until(seconds: float, ask: Callable[[], Awaitable[dict[str, Any]]], is_so: Callable[[Any], bool]) -> Any:
    began = time.monotonic()
    while not is_so(found := await ask()):
        assert time.monotonic() - began < seconds, found
        await asyncio.sleep(0.1)
    return found


def weir(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("weir")), "fraud", *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_declines_are_halted_and_lifted(gateway: Gateway, make_shop: Any, mesh: Mesh) -> None:
    shop, other = await make_shop(), await make_shop()
    ann, bob = await person(gateway, shop, "ann"), await person(gateway, shop, "bob")
    # A rule gone wrong: it declines whoever pays. The tenant's own corridor goes through the same two people as its rules.
    policy = {
        "deny": [{"kind": "user", "value": "mallory@example.com", "reason": "case 1"}],
        "rules": [{"name": "oops", "expression": "score >= 0.0", "action": "decline", "reason": "e2e"}],
        "decline_corridor": {"window_minutes": 60, "least_decisions": LEAST, "ceiling": 0.5},
    }
    saved = await call(gateway, ann, "PUT", f"{POLICIES}/draft", body=policy)
    body = {"revision": saved["revision"], "note": "e2e"}
    made = await call(gateway, ann, "POST", f"{POLICIES}/draft/submit", body=body)
    await call(gateway, bob, "POST", f"{POLICIES}/versions/{made['version']}/approve", body={"note": "seen"})
    await until(IN_FORCE_SECONDS, lambda: score(gateway, shop), lambda one: one["policy_rule"] == "oops")

    first = await asyncio.gather(*(score(gateway, shop) for _ in range(LEAST)))
    assert any(one["outcome"] == "decline" and not one["declines_halted"] for one in first)
    held = await until(IN_FORCE_SECONDS, lambda: score(gateway, shop), lambda one: one["declines_halted"])
    assert (held["outcome"], held["policy_rule"]) == ("review", "oops")
    streamed = await on_the_stream(gateway, shop)
    assert (streamed["outcome"], streamed["declines_halted"]) == ("review", True)
    # Held for a person, not approved.
    case = await call(gateway, ann, "GET", f"/api/v2/ml/cases/{held['event_id']}")
    assert case["state"] == "open"
    denied = await score(gateway, shop, "mallory@example.com")
    assert (denied["outcome"], denied["declines_halted"]) == ("decline", False)
    assert not (await score(gateway, other))["declines_halted"]

    seen = await call(gateway, ann, "GET", DECLINES)
    assert seen["halt"]["corridor"]["ceiling"] == 0.5
    assert (seen["position"], seen["corridor_of"]) == ("above", made["version"])
    assert (await call(gateway, other.headers, "GET", DECLINES))["halt"] is None
    lifting = {"halted_at": seen["halt"]["halted_at"], "note": "e2e"}
    await call(gateway, shop.headers, "POST", f"{DECLINES}/lift", 403, lifting)
    await call(gateway, shop.headers, "GET", f"{DECLINES}?tenant_id={other.tenant_id}", 403)

    event_ids = [held["event_id"], streamed["event_id"], denied["event_id"]]
    replayed = await asyncio.to_thread(weir, "replay", *event_ids, "--tenant", shop.tenant_id, "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr

    shown = await asyncio.to_thread(weir, "declines", shop.tenant_id, "--json")
    assert shown.returncode == 1, shown.stderr
    assert json.loads(shown.stdout)["halt"]["halted_at"] == lifting["halted_at"]
    lifted = await asyncio.to_thread(weir, "lift", shop.tenant_id, "--note", "The rule will be switched off", "--json")
    assert lifted.returncode == 0, lifted.stderr
    again = await until(IN_FORCE_SECONDS, lambda: score(gateway, shop), lambda one: not one["declines_halted"])
    assert again["outcome"] == "decline"
    assert (await asyncio.to_thread(weir, "declines", shop.tenant_id)).returncode == 0
    (halt,) = (await call(gateway, ann, "GET", f"{DECLINES}/halts"))["halts"]
    assert halt["lifted_by"] is not None

    async with asyncio.timeout(15):
        what: set[str | None] = set()
        while not {"halt", "lift"} <= what:
            page = await call(
                gateway, shop.headers, "GET", f"/api/v2/audit/entries?tenant_id={shop.tenant_id}&limit=100"
            )
            what = {
                (row["detail"] or {}).get("what")
                for row in page["entries"]
                if row["entry"]["action"] == "fraud_declines:lift"
            }
            await asyncio.sleep(0.2)
