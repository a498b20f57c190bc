# ruff: noqa: E501 - measures and endpoints read best as the lines of a table
"""``weir demo``: three tenants, two days of purchases in a minute, attacks, and a verdict on every figure."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from weir_local.demo import attacks, recompute, report, shoppers
from weir_local.demo.api import Gateway, MeshNotRunning
from weir_local.demo.replay import Sent, replay
from weir_local.demo.report import Measure, quantile
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

RATE = 300.0
FRAUD_BOUND_SECONDS = 0.05
FIND_SECONDS = 20.0

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Measures = list[Measure]


def demo(
    rate: Annotated[float, typer.Option(help="Events a second over all tenants.", min=1)] = RATE,
    json_: Annotated[bool, typer.Option("--json", help="Print the report instead of text.")] = False,
) -> None:
    """Replay two days of real purchases with attacks mixed in, and check every figure. Needs a running mesh (`weir up`).

    Writes .weir/demo-report.json and ends non-zero if anything in it is wrong.
    """
    state = default_state_directory(os.environ, Path.cwd())
    mesh = Mesh.at(state, default_cache_directory(os.environ))
    console.quiet = json_
    try:
        met = asyncio.run(_demo(mesh, rate))
    except MeshNotRunning as error:
        errors.print(f"[red]weir:[/] {error}", soft_wrap=True)
        raise typer.Exit(2) from error
    if json_:
        print((mesh.state / "demo-report.json").read_text())
    raise typer.Exit(0 if met else 1)


async def _demo(mesh: Mesh, rate: float) -> bool:
    async with Gateway.of(mesh) as gateway:
        run = secrets.token_hex(3)
        keys = await _tenants(gateway, run)
        tenants = sorted(keys)
        last_day = datetime.now(UTC).date() - timedelta(days=1)
        console.print("reading two days of purchases …")
        events, episodes = await asyncio.to_thread(_input, tenants, last_day)
        console.print(
            f"{len(events):,} events of three tenants, {len(episodes)} attacks among them; {rate:.0f} a second, "
            f"two days in {len(events) / rate:.0f} s"
        )
        # The input is a million small objects: a collection over them would stall the client whose clock we read.
        gc.collect()
        gc.freeze()
        sent = await _replay(gateway, keys, events, rate)
        # A shopper who buys just after midnight came before it: the range begins an hour earlier.
        start = datetime.combine(last_day - timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=1)
        end = _midnight_after(last_day)
        outcomes = await _outcomes(gateway, keys, sent)
        dashboards = await _dashboards(gateway, keys, sent, outcomes, start, end)
        # Findings name customers and devices as the log does, not as the shops do.
        episodes = [
            await attacks.as_found(episode, partial(gateway.subject_ids, keys[episode.tenant_id]))
            for episode in episodes
        ]
        findings = await _findings(gateway, keys, episodes)
        verdicts = attacks.judge(episodes, findings, sent.arrived)
        trace = await _trace(gateway, mesh, keys, tenants[0])
        export = await _export(gateway, keys[tenants[0]], tenants[0], sent)
        plan = await _plan(gateway, tenants[0])
        endpoints = await _endpoints(gateway, keys, tenants)
        measures = _measures(sent, dashboards, verdicts, trace, export, plan, endpoints)
        root = mesh.state.parent
        met = report.write(
            mesh.state / "demo-report.json",
            measures,
            await asyncio.to_thread(report.environment, root),
            tenants=tenants,
            fates=dict(sent.fates),
            sent=sent.sent,
            unexpected=sent.unexpected[:20],
            fraud_failures=dict(sent.fraud_failures),
            outcomes=dict(Counter(outcome for _, outcome in outcomes.values())),
            dashboards=dashboards,
            attacks=verdicts,
            trace=trace,
            export=export,
            plan=plan,
            endpoints=endpoints,
        )
    _show(mesh, sent, outcomes, dashboards, verdicts, trace, export, plan, endpoints, measures)
    return met


# ── before ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _tenants(gateway: Gateway, run: str) -> dict[str, str]:
    """Three new tenants, so that figures are theirs alone; tenant → key."""
    keys: dict[str, str] = {}
    for name in ("north", "south", "west"):
        tenant = f"grocer-{name}-{run}"
        body = {"tenant_id": tenant, "name": f"Grocer {name.title()}", "tier": "enterprise", "vertical": "grocery"}
        (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
        answer = await gateway.operator(
            "POST", f"/api/v2/admin/tenants/{tenant}/keys", json={"client": "demo", "roles": ["ingest", "owner"]}
        )
        answer.raise_for_status()
        keys[tenant] = answer.json()["api_key"]
    # Credentials reach every service over the log; ask until they have.
    for tenant, key in keys.items():
        await _until(lambda tenant=tenant, key=key: _knows(gateway, tenant, key), "the new credentials are known", 15)
    return keys


async def _knows(gateway: Gateway, tenant: str, key: str) -> bool:
    paths = (
        f"/api/v2/analytics/realtime/dashboard?tenant_id={tenant}",
        "/api/v2/ml/models/fraud",
        f"/api/v2/anomalies/active?tenant_id={tenant}",
    )
    answers = [await gateway.client.get(path, headers={"x-api-key": key}) for path in paths]
    receipt = await gateway.client.get(
        f"/api/v2/events/receipts/{shoppers.event_id('none')}", headers={"x-api-key": key}
    )
    return all(answer.status_code == 200 for answer in answers) and receipt.status_code == 404


def _input(tenants: Sequence[str], last_day: date) -> tuple[list[shoppers.Event], list[attacks.Episode]]:
    events = [
        event
        for basket in shoppers.baskets(last_day)
        for event in shoppers.session_events(basket, shoppers.tenant_of(basket, tenants))
    ]
    episodes = attacks.episodes(tenants, last_day)
    events += [event for episode in episodes for event in episode.events]
    # ISO 8601 in UTC with one precision sorts as text.
    events.sort(key=lambda event: (event["event_metadata"]["timestamp"], event["event_metadata"]["event_id"]))
    return events, episodes


async def _replay(gateway: Gateway, keys: Mapping[str, str], events: Sequence[shoppers.Event], rate: float) -> Sent:
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=console.quiet) as progress:
        task = progress.add_task("replay", total=len(events))
        return await replay(gateway, keys, events, rate, lambda count: progress.advance(task, count))


# ── after ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _outcomes(gateway: Gateway, keys: Mapping[str, str], sent: Sent) -> dict[str, tuple[str, str]]:
    """The decision on each accepted payment: event id → (tenant, outcome)."""
    payments = [
        event
        for event in sent.accepted.values()
        if event["event_data"]["event_type"] == "transaction"
        and event["event_data"]["event_subtype"] in ("purchase", "payment_attempted", "payment_declined")
    ]
    found: dict[str, tuple[str, str]] = {}
    slots = asyncio.Semaphore(8)

    async def ask(event: shoppers.Event) -> None:
        event_id, tenant = event["event_metadata"]["event_id"], event["tenant_id"]
        deadline = time.monotonic() + 30
        while True:
            async with slots:
                answer = await gateway.client.get(
                    f"/api/v2/ml/decisions/{event_id}", headers={"x-api-key": keys[tenant]}
                )
            if answer.status_code == 200:
                found[event_id] = (tenant, answer.json()["outcome"])
                return
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.5)

    await asyncio.gather(*(ask(event) for event in payments))
    return found


async def _dashboards(
    gateway: Gateway,
    keys: Mapping[str, str],
    sent: Sent,
    outcomes: Mapping[str, tuple[str, str]],
    start: datetime,
    end: datetime,
) -> dict[str, Any]:
    """Expected and shown figures of each tenant; waits a little, since the last events are still on their way."""
    result: dict[str, Any] = {}
    for tenant, key in keys.items():
        mine = [event for event in sent.accepted.values() if event["tenant_id"] == tenant]
        expected = recompute.figures(
            mine, {event: outcome for event, (owner, outcome) in outcomes.items() if owner == tenant}
        )
        deadline = time.monotonic() + 30
        while True:
            answer = await gateway.client.get(
                "/api/v2/analytics/realtime/dashboard",
                params={"tenant_id": tenant, "from": start.isoformat(), "to": end.isoformat()},
                headers={"x-api-key": key},
            )
            answer.raise_for_status()
            shown = recompute.dashboard_figures(answer.json(), shoppers.CURRENCY)
            wrong = recompute.differences(expected, shown)
            if not wrong or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        result[tenant] = {"expected": expected, "shown": shown, "different": wrong}
    return result


async def _findings(
    gateway: Gateway, keys: Mapping[str, str], episodes: Sequence[attacks.Episode]
) -> dict[str, list[dict[str, Any]]]:
    """Every finding of each tenant, once all attacks have one or ``FIND_SECONDS`` have passed."""
    deadline = time.monotonic() + FIND_SECONDS
    while True:
        found = {tenant: await _all_findings(gateway, tenant, key) for tenant, key in keys.items()}
        if all(attacks.hit(episode, found[episode.tenant_id]) for episode in episodes) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


async def _all_findings(gateway: Gateway, tenant: str, key: str) -> list[dict[str, Any]]:
    findings: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters = {"tenant_id": tenant, "state": "all", "limit": "100", **({"cursor": cursor} if cursor else {})}
        answer = await gateway.client.get("/api/v2/anomalies/active", params=parameters, headers={"x-api-key": key})
        answer.raise_for_status()
        page = answer.json()
        findings += page["findings"]
        cursor = page.get("next_cursor")
        if not cursor:
            return findings


async def _trace(gateway: Gateway, mesh: Mesh, keys: Mapping[str, str], tenant: str) -> dict[str, Any]:
    """One more payment, sampled, which also completes a card test: its trace must reach decision, finding and rollup."""
    trace_id = secrets.token_hex(16)
    now = datetime.now(UTC)
    await gateway.send_batch(
        keys[tenant], attacks.traced(tenant, now), traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01"
    )
    url = f"http://127.0.0.1:{mesh.port('traces-http')}"
    spans: list[dict[str, Any]] = []
    wanted = {"weir-gateway", "weir-ingest", "weir-fraud", "weir-anomaly", "weir-analytics"}
    async with httpx.AsyncClient(timeout=5) as client:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            answer = await client.get(f"{url}/api/traces/{trace_id}")
            spans = answer.json()["spans"] if answer.status_code == 200 else []
            if wanted <= {span["service"] for span in spans}:
                break
            await asyncio.sleep(0.5)
    return {
        "trace_id": trace_id,
        "url": f"{url}/traces/{trace_id}",
        "services": sorted({span["service"] for span in spans}),
        "spans": [{key: span[key] for key in ("service", "name", "duration_seconds")} for span in spans],
    }


async def _export(gateway: Gateway, key: str, tenant: str, sent: Sent) -> dict[str, Any]:
    """One access request, to its manifest."""
    counts = Counter(
        user
        for event in sent.accepted.values()
        if event["tenant_id"] == tenant
        and (user := event["event_data"]["user_context"].get("user_id", "")).startswith("hh-")
    )
    user, events = counts.most_common(1)[0]
    answer = await gateway.client.post(
        "/api/v2/data/export/gdpr",
        json={"tenant_id": tenant, "subject": {"user_id": user}, "reference": "demo"},
        headers={"x-api-key": key, "idempotency-key": secrets.token_hex(8)},
    )
    answer.raise_for_status()
    request = answer.json()
    path = f"/api/v2/data/export/gdpr/{request['request_id']}"
    deadline = time.monotonic() + 60
    while request["status"] != "fulfilled" and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        request = (await gateway.client.get(path, headers={"x-api-key": key})).json()
    manifest = await gateway.client.get(f"{path}/manifest", headers={"x-api-key": key})
    return {
        "request_id": request["request_id"],
        "status": request["status"],
        "events_sent_of_subject": events,
        "stores": {
            store["store"]: {"state": store["state"], "records": store["records"]} for store in request["stores"]
        },
        "manifest": manifest.json() if manifest.status_code == 200 else None,
    }


async def _plan(gateway: Gateway, tenant: str) -> dict[str, Any]:
    answer = await gateway.operator(
        "POST", "/api/v2/admin/tenant/scale", json={"tenant_id": tenant, "service": "fraud", "dry_run": True}
    )
    return {
        "status": answer.status_code,
        "document": answer.json() if "json" in answer.headers.get("content-type", "") else None,
    }


async def _endpoints(gateway: Gateway, keys: Mapping[str, str], tenants: Sequence[str]) -> dict[str, int]:
    """The eight endpoints of the guide, each with its status; the two that change things were called above."""
    tenant, key = tenants[0], {"x-api-key": keys[tenants[0]]}
    get, operator = gateway.client.get, gateway.operator
    event = shoppers.event_id("endpoint")
    answers = {
        "POST /api/v2/events/batch": (await gateway.client.post("/api/v2/events/batch", json={"events": attacks.traced(tenant, datetime.now(UTC))[:1]}, headers=key)).status_code,
        "GET /api/v2/analytics/realtime/dashboard": (await get("/api/v2/analytics/realtime/dashboard", params={"tenant_id": tenant}, headers=key)).status_code,
        "POST /api/v2/ml/inference/fraud": (await gateway.client.post("/api/v2/ml/inference/fraud", json=attacks.payment(tenant, event, datetime.now(UTC)), headers=key)).status_code,
        "GET /api/v2/anomalies/active": (await get("/api/v2/anomalies/active", params={"tenant_id": tenant, "severity": "critical"}, headers=key)).status_code,
        "POST /api/v2/data/export/gdpr": (await gateway.client.post("/api/v2/data/export/gdpr", json={"tenant_id": tenant, "subject": {"user_id": "hh-0"}, "reference": "endpoint"}, headers=key)).status_code,
        "GET /api/v2/metrics/sla": (await get("/api/v2/metrics/sla", params={"tenant_id": tenant, "timeframe": "24h"}, headers=key)).status_code,
        "POST /api/v2/admin/tenant/scale": (await operator("POST", "/api/v2/admin/tenant/scale", json={"tenant_id": tenant, "service": "fraud", "dry_run": True})).status_code,
        "GET /api/v2/ops/health/detailed": (await operator("GET", "/api/v2/ops/health/detailed")).status_code,
    }  # fmt: skip
    foreign = await get("/api/v2/analytics/realtime/dashboard", params={"tenant_id": tenants[1]}, headers=key)
    answers["another tenant's dashboard (must be 403)"] = foreign.status_code
    return answers


# ── verdict ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _measures(
    sent: Sent,
    dashboards: Mapping[str, Any],
    verdicts: Mapping[str, Any],
    trace: Mapping[str, Any],
    export: Mapping[str, Any],
    plan: Mapping[str, Any],
    endpoints: Mapping[str, int],
) -> Measures:
    mismatches = sum(len(dashboard["different"]) for dashboard in dashboards.values())
    missed = [name for name, verdict in verdicts["episodes"].items() if not verdict["found"]]
    alarms = len(verdicts["false_alarms"])
    counted = sum(dashboard["shown"]["orders"] for dashboard in dashboards.values())
    expected = sum(dashboard["expected"]["orders"] for dashboard in dashboards.values())
    answering = sum(status < 300 for name, status in endpoints.items() if name.startswith(("GET", "POST")))
    p99 = quantile(sent.fraud_seconds, 0.99)
    exported = (export["stores"].get("analytics") or {}).get("records") or 0
    foreign = endpoints["another tenant's dashboard (must be 403)"]
    return [
        Measure("dashboard_mismatches", mismatches, "figures", "== 0", mismatches == 0, "dashboard of each tenant beside a recomputation from the input"),
        Measure("attacks_missed", len(missed), "attacks", "== 0", not missed, "labelled episodes without a finding of their rule on their entity"),
        Measure("false_alarms", alarms, "findings", "== 0", alarms == 0, "findings that overlap no labelled episode"),
        Measure("events_lost", max(0, expected - counted) + len(sent.unexpected), "events", "== 0", expected == counted and not sent.unexpected, "orders accepted and not counted, and results other than the expected one"),
        Measure("endpoints_answering", answering, "endpoints", "== 8", answering == 8, "status below 300 through the gateway, over TLS"),
        Measure("services_in_one_trace", len(trace["services"]), "services", ">= 5", len(trace["services"]) >= 5, "gateway, ingest, fraud, anomaly, analytics in the trace of one payment"),
        Measure("fraud_p99", p99, "s", f"<= {FRAUD_BOUND_SECONDS}", p99 is not None and p99 <= FRAUD_BOUND_SECONDS, f"{len(sent.fraud_seconds)} decisions over the gateway while the replay ran, client's clock"),
        Measure("decisions_unanswered", sent.fraud_failures.total(), "decisions", "== 0", not sent.fraud_failures, "payments for which the shop waited and got no decision"),
        Measure("foreign_tenant_status", foreign, "HTTP status", "== 403", foreign == 403, "a tenant's key on another tenant's dashboard"),
        Measure("export_fulfilled", int(export["status"] == "fulfilled"), "requests", "== 1", export["status"] == "fulfilled" and exported > 0, "one access request with records from the archive"),
        Measure("plan_answered", int(plan["status"] == 200), "plans", "== 1", plan["status"] == 200, "a scaling plan, dry run"),
    ]  # fmt: skip


def _show(
    mesh: Mesh,
    sent: Sent,
    outcomes: Mapping[str, tuple[str, str]],
    dashboards: Mapping[str, Any],
    verdicts: Mapping[str, Any],
    trace: Mapping[str, Any],
    export: Mapping[str, Any],
    plan: Mapping[str, Any],
    endpoints: Mapping[str, int],
    measures: Measures,
) -> None:
    fates = sent.fates
    console.print(
        f"\n[bold]events[/]  sent {sent.sent:,} · accepted {fates['accepted']:,} · duplicates {fates['duplicate']:,} · "
        f"in quarantine {fates['quarantined']:,} · in {sent.seconds:.0f} s"
    )
    p50, p95, p99 = (quantile(sent.fraud_seconds, share) for share in (0.5, 0.95, 0.99))
    if p50 is not None and p95 is not None and p99 is not None:
        console.print(f"[bold]fraud[/]   p50 {p50 * 1000:.1f} ms · p95 {p95 * 1000:.1f} ms · p99 {p99 * 1000:.1f} ms")
    shares = Counter(outcome for _, outcome in outcomes.values())
    console.print(f"        outcomes: {', '.join(f'{name} {count}' for name, count in shares.most_common())}")
    console.print("\n[bold]attacks[/]")
    for name, verdict in verdicts["episodes"].items():
        if verdict["found"]:
            delay = (
                f"{verdict['delay_seconds']:.1f} s after its first event"
                if verdict["delay_seconds"] is not None
                else ""
            )
            console.print(f"  [green]found[/]   {name:<46} {delay}")
        else:
            console.print(f"  [red]missed[/]  {name}")
    console.print(f"  false alarms: {len(verdicts['false_alarms'])}")
    table = Table(title="dashboard beside a plain recomputation from the input", title_justify="left", box=None)
    table.add_column("figure")
    for tenant in dashboards:
        table.add_column(tenant)
    for name in next(iter(dashboards.values()))["expected"]:
        row = [name]
        for dashboard in dashboards.values():
            good = name not in dashboard["different"]
            shown = _brief(dashboard["shown"][name])
            row.append(f"[green]=[/] {shown}" if good else f"[red]≠[/] {shown} / {_brief(dashboard['expected'][name])}")
        table.add_row(*row)
    console.print()
    console.print(table)
    console.print(
        f"\n[bold]trace[/]   {trace['trace_id']}: {len(trace['spans'])} spans over {', '.join(trace['services'])}"
    )
    for (service, name), spans in groupby(trace["spans"], key=lambda span: (span["service"], span["name"])):
        longest, *others = sorted((span["duration_seconds"] * 1000 for span in spans), reverse=True)
        more = f" (the longest of {len(others) + 1})" if others else ""
        console.print(f"        {service:<16} {name:<44} {longest:7.2f} ms{more}", markup=False, soft_wrap=True)
    stores = ", ".join(f"{name} {store['records']}" for name, store in export["stores"].items())
    console.print(f"\n[bold]export[/]  request {export['request_id']}: {export['status']}; records: {stores}")
    if export["manifest"]:
        _show_manifest(export["manifest"])
    document = plan["document"] or {}
    console.print(
        f"\n[bold]plan[/]    status {plan['status']}: {document.get('current')} → {document.get('proposed')} replicas, bound by {document.get('binding_constraint')}"
    )
    for step in document.get("steps", []):
        console.print(f"        {step.get('formula')}  =  {step.get('result')}", markup=False, soft_wrap=True)
    console.print("\n[bold]endpoints[/]")
    for name, status in endpoints.items():
        console.print(f"  {status}  {name}", markup=False)
    base = f"https://localhost:{mesh.port('gateway-https')}"
    console.print("\n[bold]look at[/]")
    for service in ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant-admin"):
        console.print(f"  API docs      {base}/docs/{service}")
    console.print(f"  Temporal UI   http://127.0.0.1:{mesh.port('temporal-ui')}")
    console.print(f"  this trace    {trace['url']}")
    console.print(f"  metrics       http://127.0.0.1:{mesh.port('fraud-http')}/metrics (and the other services)")
    console.print(f"  report        {mesh.state / 'demo-report.json'}\n", soft_wrap=True)
    for measure in measures:
        value = "–" if measure.value is None else f"{measure.value:g}"
        console.print(
            f"  {'[green]✓[/]' if measure.met else '[red]✗[/]'} {measure.name:<24} {value} {measure.unit} (must be {measure.bound})"
        )


def _show_manifest(manifest: Mapping[str, Any]) -> None:
    archive = manifest["archive"]
    console.print(
        f"        manifest: {manifest['confirmation']}, due {manifest['request']['due_at'][:10]}; archive of "
        f"{archive['bytes']:,} bytes ({archive['media_type']}), sha256 {archive['sha256'][:16]}…",
        soft_wrap=True,
    )
    for part in manifest["services"]:
        categories = ", ".join(f"{name} {count}" for name, count in part["records_by_category"].items())
        console.print(
            f"        {part['path']:<26} {part['bytes']:>9,} bytes  sha256 {part['sha256'][:16]}…  "
            f"{categories or part['explanation']}",
            markup=False,
            soft_wrap=True,
        )


def _brief(value: Any) -> str:
    text = f"{value:.0f}" if isinstance(value, float) else str(value)
    if isinstance(value, list) and value and isinstance(value[0], list):
        text = ", ".join(f"{name} {amount}" for name, amount in value[:2]) + " …"
    if isinstance(value, dict):
        text = ", ".join(f"{name} {amount}" for name, amount in value.items())
    return text


async def _until(check: Any, what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await check():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not after {seconds:.0f} s")
        await asyncio.sleep(0.2)


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
