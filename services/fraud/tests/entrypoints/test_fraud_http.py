"""The public edge without sockets."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal, Role
from weir_common.direct_endpoint import DirectEndpoint, describe
from weir_common.events import event_components
from weir_common.http import MAX_BODY_BYTES, create_app
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.admission import Admission
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE
from weir_fraud.entrypoints.http import fraud_router
from weir_fraud.entrypoints.inference_endpoint import PATH, InferenceEndpoint, answer_of, inference_operation
from weir_fraud.entrypoints.score_requests import ScoreRequests
from weir_fraud.find_counterfactual import FindCounterfactual
from weir_fraud.score_payments import ScorePayments
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import ScoringSettings

TENANT = "merchant_12345"


class Callers:
    """Authenticates by a name in the API key."""

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        known = {
            "shop": Principal(TenantId(TENANT), "key:shop", "machine", frozenset({Role.INGEST}), "shop"),
            "other": Principal(TenantId("other"), "key:other", "machine", frozenset({Role.INGEST}), "other"),
            "biller": Principal(TenantId(TENANT), "key:biller", "machine", frozenset({Role.BILLING}), "biller"),
            "operator": Principal(None, "key:operator", "machine", frozenset({Role.OPERATOR}), "operator"),
        }
        if api_key not in known:
            raise Unauthenticated("Who is it?")
        return known[api_key]


class Recorded:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@pytest.fixture
def audit() -> Recorded:
    return Recorded()


class Metered:
    def __init__(self) -> None:
        self.tenants: list[str] = []

    def count(self, tenant_id: TenantId, *_: object, **__: object) -> None:
        self.tenants.append(tenant_id)


@pytest.fixture
def metered() -> Metered:
    return Metered()


@pytest.fixture
async def api(
    score_payments: ScorePayments,
    model: OnnxModel,
    model_dir: Path,
    catalogue: Catalogue,
    clock: Callable[[], datetime],
    audit: Recorded,
    metered: Metered,
) -> AsyncIterator[httpx.AsyncClient]:
    decisions = MemoryDecisions()
    limits, metrics = ScoringSettings(), DecisionMetrics()
    score = ScoreTransaction(score_payments, decisions, metrics, limits)
    protect = vault_in_memory().protect
    requests = ScoreRequests(score, protect, Admission(limits), clock, metrics, limits, Source.HTTP, answer_of)
    app = create_app(
        service="fraud",
        title="fraud",
        description="fraud",
        readiness=Readiness(),
        authenticator=Callers(),  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
    )
    app.include_router(fraud_router(decisions, FindCounterfactual(ModelFolder(model_dir, catalogue, model))))
    describe(app, "POST", PATH, inference_operation(), schemas=event_components())
    inference = DirectEndpoint(
        app,
        InferenceEndpoint(requests),
        method="POST",
        path=PATH,
        action=Action.FRAUD_SCORE,
        authenticator=Callers(),  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
        meter=metered,  # type: ignore[arg-type]
        max_body_bytes=MAX_BODY_BYTES,
        operators=True,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(inference, raise_app_exceptions=False),
        base_url="https://fraud",
        headers={"X-Api-Key": "shop"},
    ) as client:
        yield client


def event(**metadata: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(EVENT_EXAMPLE))
    values = {"event_id": str(uuid.uuid4()), "timestamp": "2026-03-04T11:59:59Z"} | metadata
    made["event"]["event_metadata"].update(values)
    return made


async def test_a_payment_is_decided_and_explained(api: httpx.AsyncClient) -> None:
    body = event()
    answer = await api.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    decision = answer.json()
    assert decision["outcome"] in {"approve", "review", "decline"}
    parts = [contribution["contribution"] for contribution in decision["contributions"]]
    reasons = [reason["contribution"] for reason in decision["reasons"]]
    assert decision["base_value"] + math.fsum(parts) == pytest.approx(decision["margin"], abs=1e-9)
    assert decision["base_value"] + math.fsum(reasons) == pytest.approx(decision["margin"], abs=1e-9)
    assert 1 / (1 + math.exp(-decision["margin"])) == pytest.approx(decision["score"], abs=1e-6)
    assert reasons == sorted(reasons, reverse=True)
    assert decision["model_version"] == "test-model"
    again = await api.post(PATH, json=body["event"])
    assert again.json() == decision
    event_id = body["event"]["event_metadata"]["event_id"]
    assert (await api.get(f"/api/v2/ml/decisions/{event_id}")).json() == decision


def without(path: str) -> bytes:
    body = event()
    *parents, last = path.split("/")
    part = body["event"]
    for name in parents:
        part = part[name]
    del part[last]
    return json.dumps(body).encode()


def with_(path: str, value: Any) -> bytes:
    body = event()
    *parents, last = path.split("/")
    part = body["event"]
    for name in parents:
        part = part[name]
    part[last] = value
    return json.dumps(body).encode()


CART = "event_data/business_context/transaction_context/cart_context/cart_value/final_total"


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 100_000, 422, ""),
        (b'{"event": ' + b'{"x":' * 100_000, 413, None),
        (b'{"event": "x"}', 422, "/event"),
        (b"[]", 422, ""),
        (b"{}", 422, "/schema_version /tenant_id /event_metadata /event_data"),
        (without("tenant_id"), 422, "/event/tenant_id"),
        (without("event_metadata/event_id"), 422, "/event/event_metadata/event_id"),
        (with_("event_metadata/timestamp", "yesterday"), 422, "/event/event_metadata/timestamp"),
        (with_("event_metadata/timestamp", "2026-03-06T12:00:00Z"), 422, "/event/event_metadata/timestamp"),
        (with_("event_data/event_type", "user_interaction"), 422, "/event/event_data/event_type"),
        (with_("event_data/event_subtype", "refund"), 422, "/event/event_data/event_subtype"),
        (with_(CART, -1), 422, f"/event/{CART}"),
        (with_(CART, "1e400"), 422, f"/event/{CART}"),
        (with_(CART, "NaN"), 422, f"/event/{CART}"),
        (with_(CART, []), 422, f"/event/{CART}"),
    ],
)
async def test_bad_input_is_told_where(api: httpx.AsyncClient, body: bytes, status: int, pointer: str | None) -> None:
    answer = await api.post(PATH, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert [error.get("pointer", "") for error in answer.json()["errors"]] == pointer.split(" ")


async def test_who_may(api: httpx.AsyncClient, audit: Recorded, metered: Metered) -> None:
    body = event()
    assert (await api.post(PATH, json=body, headers={"X-Api-Key": "nobody"})).status_code == 401
    assert (await api.post(PATH, json=body, headers={"X-Api-Key": "biller"})).status_code == 403
    assert audit.entries[-1].detail["reason"] == "role"
    assert (await api.post(PATH, json=body, headers={"X-Api-Key": "other"})).status_code == 403
    assert audit.entries[-1].tenant_id == "other"
    assert audit.entries[-1].detail["reason"] == "tenant"
    assert (await api.post(PATH, json=body, headers={"X-Api-Key": "operator"})).status_code == 200
    assert (audit.entries[-1].tenant_id, audit.entries[-1].outcome) == (TENANT, "success")
    assert metered.tenants == [TENANT, "other", TENANT], "an operator's request counts where it went"


async def test_a_tenant_cannot_see_or_probe_another_s_decisions(api: httpx.AsyncClient) -> None:
    body = event()
    await api.post(PATH, json=body)
    path = f"/api/v2/ml/decisions/{body['event']['event_metadata']['event_id']}"
    assert (await api.get(path, headers={"X-Api-Key": "other"})).status_code == 404
    assert (await api.get(f"{path}?tenant_id={TENANT}", headers={"X-Api-Key": "other"})).status_code == 403
    assert (await api.get(path, headers={"X-Api-Key": "operator"})).status_code == 422
    assert (await api.get(f"{path}?tenant_id={TENANT}", headers={"X-Api-Key": "operator"})).status_code == 200
    assert (await api.get("/api/v2/ml/decisions/none")).status_code == 422


async def test_the_document_has_the_example(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi/fraud.json")).json()
    assert document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["example"] == EVENT_EXAMPLE


async def test_each_reason_has_a_text_for_the_shopper(api: httpx.AsyncClient) -> None:
    reasons = (await api.post(PATH, json=event())).json()["reasons"]
    assert all(reason["shopper_text"].startswith("We could not confirm") for reason in reasons)


async def test_what_would_flip_the_outcome_is_told_to_whoever_asks(api: httpx.AsyncClient) -> None:
    body = event()
    decided = (await api.post(PATH, json=body)).json()
    path = f"/api/v2/ml/decisions/{decided['event_id']}"
    assert "counterfactual" not in (await api.get(path)).json()
    answer = await api.get(path, params={"counterfactual": "true"})
    assert answer.status_code == 200, answer.text
    found = answer.json()["counterfactual"]
    assert 1 <= len(found) <= 5
    crossed = [change["thresholds_crossed"] for change in found]
    assert crossed == sorted(crossed)
    values = {part["feature"]: part["value"] for part in decided["contributions"]}
    for change in found:
        assert change["from"] == values[change["feature"]] != change["to"]
        assert change["outcome_before"] == decided["model_outcome"] != change["outcome_after"]
    assert (await api.get(path, params={"counterfactual": "perhaps"})).status_code == 422
