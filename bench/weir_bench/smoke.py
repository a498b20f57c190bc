# ruff: noqa: E501 - measures read best as the lines of a table
"""``make bench-smoke``: 1,000 full-size events/s for 60 s through the gateway, open loop; every consumer must keep up.

Latency counts from the *intended* time of sending, so a stall shows in every request that it delays. What went in must come
out: purchases accepted equal orders on the dashboard. CPU is read from /proc for each process of the mesh.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure, environment, quantile, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_local.processes import Processes
from weir_local.registry import components

RATE = 1_000
SECONDS = 60
WARM_UP_SECONDS = 15
"""The same load before it counts: right after a start the broker's JVM still compiles what every event passes through."""
BATCH = 20
FRAUD_PER_SECOND = 20
PURCHASE_SHARE = 0.1
FRAUD_BOUND_SECONDS = 0.05
CONSUMERS = ("fraud", "anomaly", "analytics")


@dataclass
class Load:
    """What the generator saw."""

    fates: Counter[str] = field(default_factory=Counter)
    purchases: int = 0
    batch_seconds: list[float] = field(default_factory=list)
    fraud_seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class Events:
    """Full-size events (7 KB) made from one template: only ids, times and people change."""

    def __init__(self, tenant: str, template: dict[str, Any]) -> None:
        document = json.loads(json.dumps(template))
        document["tenant_id"] = tenant
        document["event_metadata"]["event_id"] = "@EVENT@"
        document["event_metadata"]["timestamp"] = "@TIME@"
        document["event_data"]["event_type"] = "@TYPE@"
        document["event_data"]["event_subtype"] = "@SUBTYPE@"
        user = document["event_data"]["user_context"]
        user["user_id"] = user["anonymous_id"] = "@USER@"
        session = user["session_data"]
        session["session_id"] = "@SESSION@"
        session["session_attributes"]["device_fingerprint"] = "@USER@"
        context = document["event_data"]["business_context"]["transaction_context"]["cart_context"]
        context["cart_id"] = "@EVENT@"
        context["payment_context"]["payment_methods"][0]["tokenized_identifier"] = "@USER@"
        self._text = msgspec.json.encode(document)
        self._number = 0

    def next(self) -> tuple[bytes, bool]:
        """One event and whether it is a purchase."""
        self._number += 1
        purchase = self._number % round(1 / PURCHASE_SHARE) == 0
        kind, subtype = (b"transaction", b"purchase") if purchase else (b"user_interaction", b"page_view")
        # Ten thousand people, so that each shops now and then, as people do.
        user = f"user-{self._number * 7919 % 10_000}".encode()
        return (
            self._text.replace(b"@EVENT@", str(uuid.uuid4()).encode())
            .replace(b"@TIME@", datetime.now(UTC).isoformat().encode())
            .replace(b"@TYPE@", kind)
            .replace(b"@SUBTYPE@", subtype)
            .replace(b"@USER@", user)
            .replace(b"@SESSION@", b"session-" + user)
        ), purchase


async def _main() -> bool:
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    template = json.loads((Path(__file__).parent / "event.json").read_text())
    async with Gateway.of(mesh) as gateway:
        tenant, key = await _tenant(gateway)
        events, warm_up, load = Events(tenant, template), Load(), Load()
        size = len(events.next()[0])
        print(
            f"{RATE} events/s of {size} bytes for {SECONDS} s after {WARM_UP_SECONDS} s that do not count, "
            f"and {FRAUD_PER_SECOND} decisions/s",
            flush=True,
        )
        await _offer(gateway, key, events, warm_up, WARM_UP_SECONDS)
        before, began = _cpu(mesh), time.monotonic()
        await _offer(gateway, key, events, load, SECONDS)
        took = time.monotonic() - began
        used = {name: _cpu(mesh)[name] - seconds for name, seconds in before.items() if name in _cpu(mesh)}
        lag, settled = await _lag(mesh)
        purchases = warm_up.purchases + load.purchases
        orders = await _orders(gateway, tenant, key, purchases)
    accepted = load.fates["accepted"]
    lost = max(0, purchases - orders) + (RATE * (WARM_UP_SECONDS + SECONDS) - accepted - warm_up.fates["accepted"])
    p99 = quantile(load.fraud_seconds, 0.99)
    cpu = {name: round(seconds / max(1, accepted) * 1e6, 1) for name, seconds in sorted(used.items())}
    measures = [
        Measure("accepted_rate", round(accepted / took, 1), "events/s", f">= {RATE * 0.99:.0f}", accepted / took >= RATE * 0.99, "accepted over wall time, through the gateway over TLS"),
        Measure("fraud_p99", p99, "s", f"<= {FRAUD_BOUND_SECONDS}", p99 is not None and p99 <= FRAUD_BOUND_SECONDS, f"{len(load.fraud_seconds)} decisions over the gateway, from the intended time of sending"),
        Measure("lag_at_end", lag, "s", "<= 1", lag <= 1, f"greatest lag of fraud, anomaly and analytics at the end; all empty {settled:.1f} s later"),
        Measure("events_lost", lost, "events", "== 0", lost == 0, "events not accepted, and purchases accepted that are no order on the dashboard; the warm-up's too"),
        Measure("cpu_us_per_event", round(sum(cpu.values()), 1), "us", "reported", True, "CPU of every process of the mesh over accepted events; by process below"),
        Measure("batch_p99", quantile(load.batch_seconds, 0.99), "s", "reported", True, f"a batch of {BATCH}, from the intended time of sending"),
        Measure("warm_up_fraud_p99", quantile(warm_up.fraud_seconds, 0.99), "s", "reported", True, f"the first {WARM_UP_SECONDS} s, which do not count above"),
    ]  # fmt: skip
    path = mesh.state / "bench" / "smoke.json"
    met = write(
        path, measures, environment(Path.cwd()), cpu_us_by_process=cpu, fates=dict(load.fates), errors=dict(load.errors)
    )
    for measure in measures:
        value = "-" if measure.value is None else f"{measure.value:g}"
        print(
            f"  {'ok ' if measure.met else 'BAD'} {measure.name:<18} {value} {measure.unit} (must be {measure.bound})"
        )
    print("  CPU-us an event: " + ", ".join(f"{name} {value:g}" for name, value in cpu.items()))
    print(f"  {path}")
    return met


async def _tenant(gateway: Gateway) -> tuple[str, str]:
    tenant = f"bench-{secrets.token_hex(4)}"
    body = {"tenant_id": tenant, "name": "Bench", "tier": "enterprise", "vertical": "electronics"}
    (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
    answer = await gateway.operator(
        "POST", f"/api/v2/admin/tenants/{tenant}/keys", json={"client": "bench", "roles": ["ingest", "owner"]}
    )
    answer.raise_for_status()
    key: str = answer.json()["api_key"]
    paths = (
        f"/api/v2/analytics/realtime/dashboard?tenant_id={tenant}",
        "/api/v2/ml/models/fraud",
        f"/api/v2/events/receipts/{uuid.uuid4()}",
    )
    async with asyncio.timeout(15):
        for path in paths:
            while (await gateway.client.get(path, headers={"x-api-key": key})).status_code in (401, 503):  # noqa: ASYNC110 - the credential arrives by itself
                await asyncio.sleep(0.1)
    return tenant, key


async def _offer(gateway: Gateway, key: str, events: Events, load: Load, seconds: int) -> None:
    await asyncio.gather(_send(gateway, key, events, load, seconds), _score(gateway, key, events, load, seconds))


async def _send(gateway: Gateway, key: str, events: Events, load: Load, seconds: int) -> None:
    """Open loop: each batch goes at its own time, whatever became of the others; at most 500 are under way."""
    started = time.monotonic()
    slots = asyncio.Semaphore(500)

    async def one(due: float) -> None:
        async with slots:
            made = [events.next() for _ in range(BATCH)]
            body = b'{"events":[' + b",".join(text for text, _ in made) + b"]}"
            try:
                answer = await gateway.client.post("/api/v2/events/batch", content=body, headers={"x-api-key": key})
                document = answer.json()
            except (httpx.HTTPError, ValueError) as error:
                load.errors[type(error).__name__] += 1
                return
            load.batch_seconds.append(time.monotonic() - due)
            for (_, purchase), result in zip(made, document.get("results", ()), strict=False):
                load.fates[result["status"]] += 1
                load.purchases += purchase and result["status"] == "accepted"

    await _paced(RATE / BATCH, seconds, started, one)


async def _score(gateway: Gateway, key: str, events: Events, load: Load, seconds: int) -> None:
    started = time.monotonic()

    async def one(due: float) -> None:
        text = b""
        purchase = False
        while not purchase:
            text, purchase = events.next()
        try:
            answer = await gateway.client.post("/api/v2/ml/inference/fraud", content=text, headers={"x-api-key": key})
        except httpx.HTTPError as error:
            load.errors[type(error).__name__] += 1
            return
        if answer.status_code == 200:
            load.fraud_seconds.append(time.monotonic() - due)
        else:
            load.errors[f"fraud {answer.status_code}"] += 1

    await _paced(FRAUD_PER_SECOND, seconds, started, one)


async def _paced(rate: float, seconds: int, started: float, one: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            due = started + number / rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due))


def _cpu(mesh: Mesh) -> dict[str, float]:
    """CPU seconds of each component with all that descends from it; those of children that have ended count in their parent."""
    processes = Processes(mesh.state)
    tick = os.sysconf("SC_CLK_TCK")
    seconds: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text[text.rindex(")") + 2 :].split()
        pid = int(entry.name)
        children[int(fields[1])].append(pid)
        seconds[pid] = sum(int(value) for value in fields[11:15]) / tick
    found: dict[str, float] = {}
    for component in components(mesh):
        running = processes.alive(component.name)
        if running is None:
            continue
        left = [running.identity.pid]
        found[component.name] = 0.0
        while left:
            pid = left.pop()
            found[component.name] += seconds.get(pid, 0.0)
            left += children[pid]
    return found


async def _lag(mesh: Mesh) -> tuple[float, float]:
    """Greatest lag in seconds now, and how long it took until every consumer stood at the end."""
    began = time.monotonic()
    first: float | None = None
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(120):
        while True:
            lags: list[float] = []
            for service in CONSUMERS:
                text = (await client.get(f"http://127.0.0.1:{mesh.port(f'{service}-http')}/metrics")).text
                lags += [
                    float(line.rsplit(" ", 1)[1])
                    for line in text.splitlines()
                    if line.startswith("weir_consumer_time_lag_seconds{") and "weir.ingest.events" in line
                ]
            if first is None:
                first = max(lags, default=0.0)
            if not any(lags):
                return first, time.monotonic() - began
            await asyncio.sleep(0.5)


async def _orders(gateway: Gateway, tenant: str, key: str, expected: int) -> int:
    orders = 0
    for _ in range(60):
        try:
            answer = await gateway.client.get(
                "/api/v2/analytics/realtime/dashboard", params={"tenant_id": tenant}, headers={"x-api-key": key}
            )
        except httpx.TransportError as error:
            # After an overload the pool may be full for a while: asked again, and lost events show if it stays so.
            print(f"  the dashboard did not answer: {error!r}", flush=True)
            await asyncio.sleep(0.5)
            continue
        orders = sum(int(figure["value"]) for figure in answer.json()["metrics"]["orders"]["figures"])
        if orders >= expected:
            break
        await asyncio.sleep(0.5)
    return orders


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    sys.exit(0 if asyncio.run(_main()) else 1)


if __name__ == "__main__":
    main()
