"""A policy, written by one person and approved by another, decides on the next payment: over REST and on the stream."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway

pytestmark = pytest.mark.e2e

PATH = "/api/v2/ml/policies/fraud"
IN_FORCE_SECONDS = 5.0

Headers = dict[str, str]


async def person(gateway: Gateway, shop: Any, name: str, *roles: str) -> Headers:
    """A token of a person of the shop."""
    answer = await gateway.operator(
        "POST", f"/api/v2/admin/tenants/{shop.tenant_id}/tokens", json={"subject": name, "roles": list(roles)}
    )
    answer.raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def call(
    gateway: Gateway, who: Headers, method: str, path: str = "", status: int = 200, **body: Any
) -> dict[str, Any]:
    answer = await gateway.client.request(method, PATH + path, json=body or None, headers=who)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def payment(shop: Any, user: str) -> dict[str, Any]:
    event = attacks.payment(shop.tenant_id, str(uuid.uuid4()), datetime.now(UTC))
    event["event_data"]["user_context"]["user_id"] = user
    return event


async def score(gateway: Gateway, shop: Any, user: str) -> dict[str, Any]:
    answer = await gateway.client.post(
        "/api/v2/ml/inference/fraud", json={"event": payment(shop, user)}, headers=shop.headers
    )
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def on_the_stream(gateway: Gateway, shop: Any, user: str) -> dict[str, Any]:
    event = payment(shop, user)
    answer = await gateway.client.post("/api/v2/events/batch", json={"events": [event]}, headers=shop.headers)
    assert answer.status_code == 202, answer.text
    path = f"/api/v2/ml/decisions/{event['event_metadata']['event_id']}"
    async with asyncio.timeout(15):
        while (found := await gateway.client.get(path, headers=shop.headers)).status_code == 404:
            await asyncio.sleep(0.05)
    document: dict[str, Any] = found.json()
    return document


async def put_in_force(gateway: Gateway, maker: Headers, checker: Headers, **document: Any) -> int:
    """And wait as long as is promised."""
    saved = await call(gateway, maker, "PUT", "/draft", **document)
    made = await call(gateway, maker, "POST", "/draft/submit", revision=saved["revision"], note="e2e")
    await call(gateway, checker, "POST", f"/versions/{made['version']}/approve", note="seen")
    await asyncio.sleep(IN_FORCE_SECONDS)
    version: int = made["version"]
    return version


def rule(name: str, expression: str, action: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "expression": expression, "action": action, "reason": "e2e", **more}


async def test_from_draft_to_the_next_payment(gateway: Gateway, shop: Any, superuser: asyncpg.Connection) -> None:
    ann = await person(gateway, shop, "ann", "admin")
    bob = await person(gateway, shop, "bob", "admin")
    before = await score(gateway, shop, "carol")
    assert (before["policy_version"], before["policy_rule"], before["outcome"]) == (0, None, before["model_outcome"])
    document = {
        "thresholds": {"review": 0.9999, "decline": 1.0},
        "deny": [{"kind": "user", "value": "mallory@example.com", "reason": "case 1"}],
        "allow": [{"kind": "user", "value": "trent@example.com", "reason": "case 2"}],
        "rules": [
            rule("never", "features.user_payment_count_1h < 0.0", "decline"),
            rule("look-at-all", "kind == 'purchase' && score >= 0.0", "review"),
        ],
    }
    saved = await call(gateway, ann, "PUT", "/draft", **document)
    made = await call(gateway, ann, "POST", "/draft/submit", revision=saved["revision"], note="e2e")
    assert (made["version"], made["state"]) == (1, "proposed")
    refused = await call(gateway, ann, "POST", "/versions/1/approve", 403)
    assert "another person" in refused["detail"]
    await call(gateway, shop.headers, "POST", "/versions/1/approve", 403)
    assert (await score(gateway, shop, "carol"))["policy_version"] == 0
    await call(gateway, bob, "POST", "/versions/1/approve")

    approved = time.monotonic()
    while (decision := await score(gateway, shop, "carol"))["policy_version"] == 0:
        await asyncio.sleep(0.05)
        assert time.monotonic() - approved < IN_FORCE_SECONDS
    assert (decision["outcome"], decision["policy_rule"]) == ("review", "look-at-all")
    assert (decision["model_outcome"], decision["thresholds"]) == ("approve", document["thresholds"])

    streamed = await on_the_stream(gateway, shop, "carol")
    denied = await score(gateway, shop, "mallory@example.com")
    denied_there = await on_the_stream(gateway, shop, "mallory@example.com")
    allowed = await score(gateway, shop, "trent@example.com")
    told = [
        (one["outcome"], one["policy_rule"], one["policy_version"]) for one in (streamed, denied, denied_there, allowed)
    ]
    assert told == [
        ("review", "look-at-all", 1),
        ("decline", "deny:user", 1),
        ("decline", "deny:user", 1),
        ("approve", "allow:user", 1),
    ]
    rows = await superuser.fetch(
        "SELECT document::text AS document FROM fraud.policy_version WHERE tenant_id = $1", shop.tenant_id
    )
    assert rows
    assert not any("mallory" in row["document"] or "trent" in row["document"] for row in rows)

    # What was decided under the policy would be decided so again; what was decided before it would change.
    tried = await call(gateway, ann, "POST", "/dry-run", version=1, days=1)
    made_before, evaluated = await superuser.fetchrow(
        "SELECT count(*) FILTER (WHERE policy_version = 0 AND outcome <> 'review'), count(*) FROM fraud.decision WHERE tenant_id = $1",
        shop.tenant_id,
    )
    assert (tried["evaluated"], tried["complete"]) == (evaluated, True)
    assert sum(change["decisions"] for change in tried["changes"]) == made_before > 0
    listed = {one["policy_rule"]: one["matched"] for one in tried["rules"]}
    assert (listed["deny:user"], listed["allow:user"], listed["never"]) == (2, 1, 0)
    assert tried["lacking"] == {"entry_kinds": [], "decisions_without_countries": 0}

    async with asyncio.timeout(15):
        while True:
            answer = await gateway.client.get(
                "/api/v2/audit/entries", params={"tenant_id": shop.tenant_id, "limit": 100}, headers=shop.headers
            )
            seen = {
                (row["entry"]["actor"], row["entry"]["outcome"], (row["detail"] or {}).get("what"))
                for row in answer.json()["entries"]
                if row["entry"]["action"].startswith("fraud_policy:")
            }
            if {
                ("ann", "success", "draft"),
                ("ann", "success", "submit"),
                ("ann", "denied", "approve"),
                ("bob", "success", "approve"),
            } <= seen:
                break
            await asyncio.sleep(0.2)


async def test_a_policy_that_is_brought_back_decides_again(gateway: Gateway, shop: Any) -> None:
    ann = await person(gateway, shop, "ann", "fraud-analyst")
    bob = await person(gateway, shop, "bob", "owner")
    await put_in_force(gateway, ann, bob, rules=[rule("one", "true", "decline")])
    assert (await score(gateway, shop, "carol"))["outcome"] == "decline"
    await put_in_force(gateway, ann, bob, rules=[])
    assert (await score(gateway, shop, "carol"))["policy_version"] == 2
    back = await call(gateway, ann, "POST", "/rollback", version=1, note="again")
    await call(gateway, ann, "POST", "/versions/3/approve", 403)
    assert back["state"] == "proposed"
    await call(gateway, bob, "POST", "/versions/3/approve")
    await asyncio.sleep(IN_FORCE_SECONDS)
    decision = await score(gateway, shop, "carol")
    assert (decision["outcome"], decision["policy_rule"], decision["policy_version"]) == ("decline", "one", 3)


async def test_a_rule_without_an_answer_asks_a_person(gateway: Gateway, shop: Any) -> None:
    ann = await person(gateway, shop, "ann", "admin")
    bob = await person(gateway, shop, "bob", "admin")
    rules = [rule("broken", "1 / (hour - hour) == 1", "decline"), rule("fine", "true", "approve", override=True)]
    await put_in_force(gateway, ann, bob, rules=rules)
    decision = await score(gateway, shop, "carol")
    assert (decision["outcome"], decision["policy_rule"], decision["policy_errors"]) == ("review", "fine", ["broken"])


async def test_another_tenant_s_policy_is_not_seen_and_does_not_decide(
    gateway: Gateway, shop: Any, make_shop: Callable[[], Awaitable[Any]]
) -> None:
    ann = await person(gateway, shop, "ann", "admin")
    bob = await person(gateway, shop, "bob", "admin")
    await put_in_force(gateway, ann, bob, rules=[rule("one", "true", "decline")])
    other = await make_shop()
    assert (await call(gateway, other.headers, "GET"))["version"] == 0
    await call(gateway, other.headers, "GET", "/versions/1", 404)
    await call(gateway, other.headers, "POST", "/rollback", 404, version=1)
    assert (await score(gateway, other, "carol"))["policy_version"] == 0
