"""A tenant with something of everything, so that made-up requests reach further than "there is no such thing"."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from weir_common.http import TENANT_PATTERN
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.demo.to_review import payment_to_review

_KNOWN_SECONDS: Final = 20.0
_TENANT: Final = re.compile(TENANT_PATTERN)
_PLAN: Final = re.compile(r"[A-Za-z0-9_-]+\.[0-9a-fA-F-]{36}")


@dataclass(frozen=True)
class Stand:
    """``ids`` by the name of the path parameter; ``keys`` by service, the operator's where a tenant's own has no access."""

    tenant_id: str
    ids: Mapping[str, str]
    keys: Mapping[str, str]

    def path(self, name: str, value: object) -> object:
        """A known id in the place of one that is well-formed and leads nowhere; what is malformed stays."""
        text = str(value)
        if name == "tenant_id":
            return self.tenant(value)
        known = self.ids.get(name)
        if known is None:
            return value
        if name in ("plan_id", "version", "store"):
            return known if _PLAN.fullmatch(text) or name != "plan_id" else value
        try:
            uuid.UUID(text)
        except ValueError:
            return value
        return known

    def tenant(self, value: object) -> object:
        """Our own tenant in the place of any other that might be one."""
        return self.tenant_id if isinstance(value, str) and _TENANT.fullmatch(value) else value

    def body(self, value: Any) -> Any:
        """The same for every ``tenant_id`` of a JSON body, and a fresh id for each event, since a repeat is only a duplicate."""
        if isinstance(value, list):
            return [self.body(one) for one in value]
        if not isinstance(value, dict):
            return value
        made = {name: self.body(one) for name, one in value.items()}
        if "tenant_id" in made and "tier" not in made and "vertical" not in made:
            made["tenant_id"] = self.tenant(made["tenant_id"])
        if _is_uuid(made.get("event_id")):
            made["event_id"] = str(uuid.uuid4())
        return made


def _is_uuid(value: object) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


async def prepare(gateway: Gateway) -> Stand:
    """Make the tenant, its key, an accepted payment with its decision and case, an export and a scaling plan. ``RuntimeError`` if it cannot."""
    tenant = f"fuzz-{uuid.uuid4().hex[:8]}"
    body: dict[str, Any] = {"tenant_id": tenant, "name": "Fuzz", "tier": "enterprise", "vertical": "grocery"}
    _good(await gateway.operator("POST", "/api/v2/admin/tenants", json=body))
    path = f"/api/v2/admin/tenants/{tenant}/keys"
    issued = _good(await gateway.operator("POST", path, json={"client": "fuzz", "roles": ["ingest", "owner"]})).json()
    key = {"x-api-key": str(issued["api_key"])}
    spare = _good(await gateway.operator("POST", path, json={"client": "spare", "roles": ["analyst"]})).json()
    await _is_known(gateway, key)

    # Decided on, with a case that can be worked on, and on the log.
    event = await payment_to_review(gateway, tenant, key["x-api-key"])
    _good(await gateway.client.post("/api/v2/events/batch", json={"events": [event]}, headers=key))
    export = {"tenant_id": tenant, "subject": {"user_id": "u1"}}
    request = _good(await gateway.client.post("/api/v2/data/export/gdpr", json=export, headers=key)).json()
    scale = {"tenant_id": tenant, "service": "fraud", "dry_run": True}
    plan = _good(await gateway.operator("POST", "/api/v2/admin/tenant/scale", json=scale)).json()
    ids = {
        "event_id": attacks.event_id(event),
        "request_id": request["request_id"],
        "key_id": spare["key"]["key_id"],
        "plan_id": f"{tenant}.{plan['plan_id']}" if "." not in plan["plan_id"] else plan["plan_id"],
        "store": "fraud",
        "version": "2.2",
    }
    services = ("ingest", "fraud", "anomaly", "analytics", "compliance")
    keys = dict.fromkeys(services, key["x-api-key"])
    return Stand(tenant, ids, {**keys, "tenant-admin": gateway.operator_key})


async def _is_known(gateway: Gateway, key: Mapping[str, str]) -> None:
    """Until the key has reached every service."""
    paths = (
        "/api/v2/analytics/metrics",
        "/api/v2/ml/models/fraud",
        "/api/v2/anomalies/rules",
        "/api/v2/metrics/sla",
        "/api/v2/audit/head",
        "/api/v2/events/receipts/6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
    )
    end = asyncio.get_running_loop().time() + _KNOWN_SECONDS
    for path in paths:
        while (answer := await gateway.client.get(path, headers=dict(key))).status_code in (401, 503):
            if asyncio.get_running_loop().time() > end:
                _good(answer)
            await asyncio.sleep(0.1)


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise RuntimeError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
        )
    return answer
