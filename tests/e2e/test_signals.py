"""The signals that each service must give, as a matrix: metrics by name, JSON logs with the tenant, one connected trace."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e

COMMON = ("http_server_request_duration_seconds_count",)
LAG = "weir_consumer_time_lag_seconds{"
"""With its labels: as a histogram it would have another ending, and nobody could tell how far behind a consumer is."""
METRICS = {
    "ingest": (*COMMON, "weir_ingest_events_total", "weir_ingest_acknowledge_duration_seconds_count"),
    "fraud": (
        *COMMON,
        "weir_fraud_score_duration_seconds_count",
        "weir_consumer_applied",
        "weir_consumer_backlog",
        LAG,
    ),
    "anomaly": (
        *COMMON,
        "weir_anomaly_rules_duration_seconds_count",
        "weir_consumer_applied",
        LAG,
    ),
    "analytics": (*COMMON, "weir_consumer_applied", "weir_consumer_batch_duration_seconds_count", LAG),
    "compliance": (*COMMON, "weir_consumer_applied"),
    "tenant-admin": (*COMMON, "weir_consumer_applied", "weir_outbox_relayed"),
}
VALKEY_OF_INGEST = {"EVALSHA", "MGET"}
IN_ONE_TRACE = {"weir-gateway", "weir-ingest", "weir-fraud", "weir-anomaly", "weir-analytics"}


async def test_the_trace_of_one_batch_reaches_decision_finding_and_rollup(
    gateway: Gateway, mesh: Mesh, shop: Any
) -> None:
    trace_id = secrets.token_hex(16)
    events = attacks.traced(shop.tenant_id, datetime.now(UTC))
    await gateway.send_batch(shop.key, events, traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01")
    url = f"http://127.0.0.1:{mesh.port('traces-http')}/api/traces/{trace_id}"
    spans: list[dict[str, Any]] = []
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(30):
        # Each process sends its spans in its own time, Envoy every five seconds: a parent may come after its children.
        while not _whole(spans):
            answer = await client.get(url)
            spans = answer.json()["spans"] if answer.status_code == 200 else []
            await asyncio.sleep(0.3)


def _whole(spans: list[dict[str, Any]]) -> bool:
    """Every service is in it, what ingest asked Valkey, and the opened finding; only the gateway's first span hangs on the sender."""
    known = {span["span_id"] for span in spans}
    roots = {span["service"] for span in spans if span["parent_id"] not in known}
    return (
        {span["service"] for span in spans} >= IN_ONE_TRACE
        and any(span["name"] == "open finding" for span in spans)
        and {span["name"] for span in spans if span["service"] == "weir-ingest"} >= VALKEY_OF_INGEST
        and roots == {"weir-gateway"}
    )


@pytest.mark.parametrize("service", METRICS)
async def test_metrics_have_their_names(gateway: Gateway, mesh: Mesh, shop: Any, service: str) -> None:
    event = attacks.payment(
        shop.tenant_id, attacks.event_id(attacks.traced(shop.tenant_id, datetime.now(UTC))[0]), datetime.now(UTC)
    )
    await gateway.client.post("/api/v2/ml/inference/fraud", json=event, headers=shop.headers)
    await gateway.send_batch(shop.key, [event])
    missing: list[str] = []
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(20):
        while True:
            text = (await client.get(f"http://127.0.0.1:{mesh.port(f'{service}-http')}/metrics")).text
            missing = [name for name in METRICS[service] if f"\n{name}" not in text]
            if not missing:
                return
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("service", METRICS)
def test_logs_are_json_with_time_level_service_and_message(mesh: Mesh, service: str) -> None:
    lines = mesh.log(service).read_text().splitlines()
    # After a kill -9 the shell that writes down the exit code says so in the same file.
    lines = [line for line in lines if line != "Killed"]
    assert lines
    for line in lines[-200:]:
        entry = json.loads(line)
        assert {"time", "level", "service.name", "message"} <= set(entry), line
        assert entry["service.name"] == f"weir-{service}"
