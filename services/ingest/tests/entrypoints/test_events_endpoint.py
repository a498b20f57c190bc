"""The endpoint: statuses, all-or-none, and a request that is repeated with its key."""

from __future__ import annotations

import gzip
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal, Role
from weir_common.direct_endpoint import Answer, DirectRequest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.problems import Conflict, InvalidRequest
from weir_ingest.accept_batch import AcceptBatch, TenantMismatch
from weir_ingest.adapters.memory_answers import MemoryAnswers
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_quarantine import MemoryQuarantine
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.adapters.quarantine_seal import QuarantineSeal
from weir_ingest.domain.idempotency import digest_of
from weir_ingest.domain.quota import Quota
from weir_ingest.drift_book import DriftBook
from weir_ingest.entrypoints.events_endpoint import EventsEndpoint
from weir_ingest.give_way import GiveWay
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.keep_refused import KeepRefused, QuarantineRoom
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.settings import BatchLimits, QuarantineLimits

TENANT = TenantId("shop")
CALLER = Principal(TENANT, "key:1", "machine", frozenset({Role.INGEST}))


class MemoryLog:
    """Refuses those records whose running number is in ``refuse``."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []
        self.refuse: set[int] = set()

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        outcomes: list[Position | RetryError] = []
        for record in records:
            self.records.append(record)
            away = len(self.records) in self.refuse
            outcomes.append(RetryError("away") if away else Position(record.topic, 0, len(self.records)))
        return outcomes


class MemoryAudit:
    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


def keeper(log: MemoryLog) -> KeepRefused:
    limits = QuarantineLimits()
    return KeepRefused(log, QuarantineSeal(bytes(32)), QuarantineRoom(MemoryQuarantine(), limits), limits)


class Edge:
    """The endpoint and what is behind it."""

    def __init__(self) -> None:
        self.log, self.answers, self.audit = MemoryLog(), MemoryAnswers(), MemoryAudit()
        self.refused = MemoryLog()
        limits = BatchLimits()
        accept = AcceptBatch(
            self.log,
            vault_in_memory().protect,
            MemoryReceipts(),
            LedgerBook(self.log),
            keeper(self.refused),
            DriftBook(MemoryDrift()),
            limits,
            GiveWay(lambda _: math.inf),
        )
        self.quota = Quota(events_per_second=1_000, bytes_per_second=1e7)
        quota = GrantQuota(MemoryQuotas(lambda: 0.0), lambda _: self.quota)
        self.endpoint = EventsEndpoint(accept, quota, self.answers, self.audit, limits)  # type: ignore[arg-type]

    async def post(self, body: bytes, query: Mapping[str, str] | None = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        route = "POST /api/v2/events/batch"
        request = DirectRequest(CALLER, names, query or {}, body, route, Action.EVENTS_WRITE, self.audit)  # type: ignore[arg-type]
        return await self.endpoint(request)


@pytest.fixture
def edge() -> Edge:
    return Edge()


def batch(*events: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"events": events})


def event(**changes: Any) -> dict[str, Any]:
    return {
        "schema_version": "2.1",
        "tenant_id": TENANT,
        "event_metadata": {
            "event_id": str(uuid.uuid4()),
            "timestamp": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {"event_type": "user_interaction", "event_subtype": "page_view"},
        **changes,
    }


def invalid() -> dict[str, Any]:
    return event(event_data={})


def statuses(answer: Answer) -> list[str]:
    return [result["status"] for result in msgspec.json.decode(answer.body)["results"]]


async def test_the_status_says_whether_all_some_or_none_were_taken(edge: Edge) -> None:
    assert (await edge.post(batch(event(), event()))).status == 202
    mixed = await edge.post(batch(event(), invalid()))
    assert (mixed.status, statuses(mixed)) == (207, ["accepted", "quarantined"])
    none = await edge.post(batch(invalid()))
    assert (none.status, none.events) == (422, 1)
    edge.log.refuse = set(range(1_000))
    away = await edge.post(batch(event(), invalid()))
    assert (away.status, away.headers["Retry-After"]) == (503, "1")


async def test_what_the_quota_has_no_room_for_is_throttled_and_told_when(edge: Edge) -> None:
    edge.quota = Quota(events_per_second=0.3, bytes_per_second=1e7)  # three are saved up
    some = await edge.post(batch(*(event() for _ in range(5))))
    assert (some.status, statuses(some)) == (207, ["accepted"] * 3 + ["throttled"] * 2)
    assert some.headers == {
        "ratelimit-policy": '"events";q=3;w=10',
        "ratelimit": '"events";r=0;t=7',
        "Retry-After": "7",
        "x-weir-pause": "500 shop",
    }
    none = await edge.post(batch(event()))
    assert (none.status, statuses(none), none.headers["Retry-After"]) == (429, ["throttled"], "4")
    assert len(edge.log.records) == 3


async def test_an_atomic_request_is_throttled_as_a_whole(edge: Edge) -> None:
    edge.quota = Quota(events_per_second=0.3, bytes_per_second=1e7)
    answer = await edge.post(batch(*(event() for _ in range(4))), {"atomic": "true"})
    assert (answer.status, statuses(answer)) == (429, ["throttled"] * 4)
    assert (await edge.post(batch(*(event() for _ in range(3))), {"atomic": "true"})).status == 202


async def test_the_summary_counts_every_event_once(edge: Edge) -> None:
    answer = await edge.post(batch(event(), invalid(), event()))
    summary = msgspec.json.decode(answer.body)["summary"]
    assert summary.pop("received") == sum(summary.values()) == 3
    assert (summary["accepted"], summary["quarantined"]) == (2, 1)


async def test_a_compressed_body_is_read(edge: Edge) -> None:
    assert (await edge.post(gzip.compress(batch(event())), content_encoding="gzip")).status == 202


async def test_atomic_takes_none_when_one_is_invalid(edge: Edge) -> None:
    answer = await edge.post(batch(event(), invalid(), event()), {"atomic": "true"})
    assert (answer.status, statuses(answer)) == (422, ["not_taken", "invalid", "not_taken"])
    assert edge.log.records == []
    assert (await edge.post(batch(event(), event()), {"atomic": "true"})).status == 202


async def test_atomic_reports_none_as_accepted_when_the_log_has_only_some(edge: Edge) -> None:
    edge.log.refuse = {2}
    body = batch(event(), event())
    answer = await edge.post(body, {"atomic": "true"})
    assert (answer.status, statuses(answer)) == (503, ["unavailable", "unavailable"])
    again = await edge.post(body, {"atomic": "true"})
    assert (again.status, statuses(again)) == (202, ["duplicate", "accepted"])


async def test_a_sender_may_keep_its_mistakes_to_itself(edge: Edge) -> None:
    answer = await edge.post(batch(event(), invalid()), {"quarantine": "false"})
    assert (answer.status, statuses(answer), edge.refused.records) == (207, ["accepted", "invalid"], [])


async def test_a_flag_that_is_no_flag_is_refused(edge: Edge) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await edge.post(batch(event()), {"atomic": "perhaps"})
    assert caught.value.errors[0].parameter == "atomic"


async def test_the_same_request_with_its_key_gets_the_same_answer_and_is_not_done_again(edge: Edge) -> None:
    body = batch(event(), invalid())
    first = await edge.post(body, idempotency_key="k1")
    second = await edge.post(body, idempotency_key="k1")
    assert (second.status, second.body) == (first.status, first.body) == (207, first.body)
    assert second.headers == {"idempotency-replayed": "true"}
    assert len(edge.log.records) == 1
    assert statuses(await edge.post(body, idempotency_key="k2")) == ["duplicate", "quarantined"]


async def test_a_key_belongs_to_one_request(edge: Edge) -> None:
    body = batch(event())
    await edge.post(body, idempotency_key="k1")
    for other, query in ((batch(event()), {}), (body, {"atomic": "true"})):
        with pytest.raises(InvalidRequest) as caught:
            await edge.post(other, query, idempotency_key="k1")
        assert caught.value.slug == "idempotency-key-reused"


async def test_a_request_that_is_being_answered_is_not_answered_twice(edge: Edge) -> None:
    body = batch(event())
    await edge.answers.claim(TENANT, "k1", digest_of("", body))
    with pytest.raises(Conflict) as caught:
        await edge.post(body, idempotency_key="k1")
    assert (caught.value.status, caught.value.headers) == (409, {"Retry-After": "1"})


async def test_an_outage_is_no_answer_to_keep(edge: Edge) -> None:
    edge.log.refuse = {1}
    body = batch(event())
    assert (await edge.post(body, idempotency_key="k1")).status == 503
    assert (await edge.post(body, idempotency_key="k1")).status == 202


async def test_without_the_store_of_answers_events_are_still_taken(edge: Edge) -> None:
    edge.answers.fail = True
    body = batch(event())
    assert (await edge.post(body, idempotency_key="k1")).status == 202
    assert statuses(await edge.post(body, idempotency_key="k1")) == ["duplicate"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_a_key_that_cannot_be_one_is_refused(edge: Edge, key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await edge.post(batch(event()), idempotency_key=key)
    assert caught.value.status == 400


async def test_another_tenants_event_is_refused_and_audited(edge: Edge) -> None:
    body = batch(event(tenant_id="other"))
    for _ in range(2):  # the key must not keep what was refused as an answer
        with pytest.raises(TenantMismatch):
            await edge.post(body, idempotency_key="k1")
    assert [entry.outcome for entry in edge.audit.entries] == ["denied", "denied"]
