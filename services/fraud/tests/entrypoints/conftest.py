"""Labels and cases at the public edge, without sockets: what their tests share."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Principal, Role
from weir_common.http import create_app
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.identifiers import user
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_fraud.adapters.memory_cases import MemoryCases
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.sealed_notes import SealedNotes
from weir_fraud.case_metrics import CaseMetrics
from weir_fraud.domain.decision import Decision, Outcome, Source
from weir_fraud.domain.payment import Payment
from weir_fraud.entrypoints.http_cases import cases_router
from weir_fraud.entrypoints.http_feedback import feedback_router
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.record_labels import RecordLabels
from weir_fraud.score_payments import ScorePayments
from weir_fraud.work_case import WorkCase

TENANT = TenantId("merchant_12345")


class Callers:
    """Authenticates by a name in the API key."""

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        known = {
            "shop": Principal(TENANT, "key:shop", "machine", frozenset({Role.INGEST})),
            "ada": Principal(TENANT, "ada", "person", frozenset({Role.FRAUD_ANALYST})),
            "bob": Principal(TENANT, "bob", "person", frozenset({Role.FRAUD_ANALYST})),
            "auditor": Principal(TENANT, "otto", "person", frozenset({Role.AUDITOR})),
            "analyst": Principal(TENANT, "ann", "person", frozenset({Role.ANALYST})),
            "other": Principal(TenantId("other"), "eve", "person", frozenset({Role.OWNER})),
            "operator": Principal(None, "key:operator", "machine", frozenset({Role.OPERATOR})),
        }
        if api_key not in known:
            raise Unauthenticated("Who is it?")
        return known[api_key]


class Recorded:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@dataclass
class Edge:
    """The application on stores in memory; `decided` puts a decision there."""

    client: httpx.AsyncClient
    decisions: MemoryDecisions
    cases: MemoryCases
    vault: OpenVault
    audit: Recorded
    template: Decision
    now: list[datetime]

    async def decided(self, tenant_id: TenantId = TENANT, user_id: str = "ada@example.com", **members: Any) -> EventId:
        identifier = user(user_id)
        found = await self.vault.vault.resolve(tenant_id, [identifier])
        members = {"outcome": Outcome.REVIEW, "subject": found[identifier].subject_id} | members
        event_id = EventId(str(uuid.uuid4()))
        decision = replace(self.template, tenant_id=tenant_id, event_id=event_id, **members)
        await self.decisions.record(decision)
        return event_id

    async def erase(self, event_id: EventId) -> None:
        decision = await self.decisions.find(TENANT, event_id)
        assert decision is not None
        assert await self.vault.vault.erase(TENANT, SubjectId(decision.subject))

    def passes(self, seconds: float) -> None:
        """Time."""
        self.now[0] += timedelta(seconds=seconds)

    async def get(self, path: str, caller: str = "ada", **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query, headers={"X-Api-Key": caller})

    async def post(
        self, path: str, body: Any, caller: str = "ada", if_match: str | None = None, **query: Any
    ) -> httpx.Response:
        headers = {"X-Api-Key": caller} | ({} if if_match is None else {"If-Match": if_match})
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.post(path, params=query, headers=headers, **content)


@pytest.fixture
async def edge(score_payments: ScorePayments, make_payment: Callable[..., Payment], clock: Any) -> AsyncIterator[Edge]:
    """The routes of labels and cases; the time stands still unless `passes` is called."""
    (template,) = await score_payments([make_payment()], Source.STREAM)
    now = [clock()]
    audit = Recorded()
    decisions = MemoryDecisions()
    cases = MemoryCases(decisions)
    vault = vault_in_memory()
    notes = SealedNotes(vault.vault, lambda: now[0], timeout_seconds=1)
    metrics = LabelMetrics()
    record = RecordLabels(cases, metrics)
    work = WorkCase(cases, decisions, notes, record, CaseMetrics(), lambda: now[0])
    app = create_app(
        service="fraud",
        title="fraud",
        description="fraud",
        readiness=Readiness(),
        authenticator=Callers(),  # type: ignore[arg-type]
        audit=audit,  # type: ignore[arg-type]
    )
    app.include_router(feedback_router(record, cases, decisions, metrics, lambda: now[0]))
    app.include_router(cases_router(cases, cases, decisions, notes, work))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://fraud") as client:
        yield Edge(client, decisions, cases, vault, audit, template, now)
