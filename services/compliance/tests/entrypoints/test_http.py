"""The public edge, without sockets: what is asked, what is answered, what is refused and how it is said."""

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from weir_common.auth import Principal, Role
from weir_common.errors import RetryError
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness
from weir_compliance.adapters.age_files import new_identity, recipient_of
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.collect_store import CollectStore
from weir_compliance.domain.audit_chain import Head, StoredEntry, verify_chain
from weir_compliance.domain.audit_leaf import GENESIS, AuditFact, log_id_of, write_leaf
from weir_compliance.domain.deadline import AnswerPeriod
from weir_compliance.entrypoints.documentation import document_types
from weir_compliance.entrypoints.export_body import ExportBody
from weir_compliance.entrypoints.http_audit import audit_router
from weir_compliance.entrypoints.http_exports import exports_router
from weir_compliance.entrypoints.status_document import SubjectRequestDocument
from weir_compliance.fetch_export import FetchExport
from weir_compliance.pack_archive import PackArchive
from weir_compliance.ports import SubjectSummary
from weir_compliance.request_export import RequestExport
from weir_compliance.reveal_subject import RevealSubject

PATH = "/api/v2/data/export/gdpr"


class NamedCallers:
    """Authenticates by a name in the API key."""

    def __init__(self, callers: dict[str, Principal]) -> None:
        self._callers = callers

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        try:
            return self._callers[api_key or ""]
        except KeyError:
            raise Unauthenticated("Who is it?") from None


class OneRegime:
    async def answer_period(self, regime: str, kind: str) -> tuple[AnswerPeriod, frozenset[date]] | None:
        return (AnswerPeriod(1, 0, True), frozenset()) if regime == "gdpr" else None


class CountedWorkflows:
    def __init__(self) -> None:
        self.starts = 0
        self.reruns: list[str] = []
        self.fault: Exception | None = None

    async def start_waiting(self) -> None:
        self.starts += 1
        if self.fault is not None:
            raise self.fault

    async def rerun_store(self, tenant_id: TenantId, request_id: Any, store: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.reruns.append(store)


class ChainInMemory:
    """A log of five entries."""

    def __init__(self, tenant_id: TenantId) -> None:
        self.rows: list[StoredEntry] = []
        self._log_id = log_id_of(tenant_id)
        previous = GENESIS
        for seq in range(5):
            entry_id = str(uuid4())
            fact = AuditFact(
                entry_id,
                tenant_id,
                datetime.now(UTC),
                "a",
                "machine",
                f"test.{seq}",
                "o",
                "success",
                "s",
                "",
                b'{"n":"1"}',
            )
            leaf = write_leaf(fact, log_id=self._log_id, seq=seq, previous=previous, salt=bytes(32))
            self.rows.append(StoredEntry(seq, entry_id, leaf.data, leaf.hash, bytes(32), fact.payload))
            previous = leaf.hash

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> list[StoredEntry]:
        return [row for row in self.rows if row.seq > after_seq][:limit]

    async def head(self, tenant_id: TenantId) -> Head:
        return Head(self._log_id, len(self.rows), self.rows[-1].leaf_hash)

    async def logs(self) -> list[TenantId]:
        return []


@pytest.fixture
def workflows() -> CountedWorkflows:
    return CountedWorkflows()


@pytest.fixture
def chain(tenant_id: TenantId) -> ChainInMemory:
    return ChainInMemory(tenant_id)


@pytest.fixture
async def http(
    memory_requests: Any, recorded_audit: Any, files: ExportFiles, clock: Any, tenant_id: TenantId, workflows: Any,
    chain: Any, officer: Principal,
) -> AsyncIterator[httpx.AsyncClient]:  # fmt: skip
    callers = {
        "officer": officer,
        "analyst": Principal(tenant_id, "key:analyst", "machine", frozenset({Role.ANALYST})),
        "auditor": Principal(tenant_id, "key:auditor", "machine", frozenset({Role.AUDITOR})),
        "stranger": Principal(TenantId("stranger"), "key:stranger", "machine", frozenset({Role.OWNER})),
        "operator": Principal(None, "key:operator", "machine", frozenset({Role.OPERATOR})),
    }
    app = create_app(
        service="compliance",
        title="t",
        description="d",
        readiness=Readiness(),
        authenticator=NamedCallers(callers),  # type: ignore[arg-type]
        audit=recorded_audit,
    )
    app.include_router(
        exports_router(
            request_export=RequestExport(memory_requests, OneRegime(), workflows, clock),
            fetch=FetchExport(memory_requests, recorded_audit, clock),
            files=files,
            workflows=workflows,
            audit=recorded_audit,
        )
    )
    app.include_router(audit_router(chain, recorded_audit))
    document_types(app, [ExportBody, SubjectRequestDocument])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"X-Api-Key": "officer"}
    ) as client:
        yield client


def body(tenant_id: TenantId, **changes: Any) -> dict[str, Any]:
    return {"tenant_id": tenant_id, "subject": {"user_id": "u-1"}, "reference": "ticket-1"} | changes


async def test_a_request_is_received(
    http: httpx.AsyncClient, tenant_id: TenantId, workflows: CountedWorkflows, memory_requests: Any
) -> None:
    answer = await http.post(PATH, json=body(tenant_id))
    assert answer.status_code == 202
    document = answer.json()
    assert answer.headers["location"] == f"{PATH}/{document['request_id']}"
    assert document["status"] == "open"
    assert document["received_at"] == "2026-11-25T12:00:00Z"
    assert document["expected_by"] == "2026-12-26T00:00:00Z"
    assert document["reference"] == "ticket-1"
    assert workflows.starts == 1
    assert [entry.action for entry in memory_requests.audited] == ["subject_request.receive"]
    assert (await http.get(answer.headers["location"])).json() == document


async def test_an_idempotency_key_starts_one_export(http: httpx.AsyncClient, tenant_id: TenantId) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await http.post(PATH, json=body(tenant_id), headers=headers)
    # The same request written another way.
    second = await http.post(PATH, json=body(tenant_id, subject={"user_id": ["u-1"]}, regime="gdpr"), headers=headers)
    assert second.status_code == 202
    assert second.json()["request_id"] == first.json()["request_id"]
    other = await http.post(PATH, json=body(tenant_id, subject={"user_id": "u-2"}), headers=headers)
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")
    assert (await http.post(PATH, json=body(tenant_id))).json()["request_id"] != first.json()["request_id"]


async def test_a_request_is_received_also_while_temporal_is_away(
    http: httpx.AsyncClient, tenant_id: TenantId, workflows: CountedWorkflows
) -> None:
    workflows.fault = RetryError("Temporal is away")
    assert (await http.post(PATH, json=body(tenant_id))).status_code == 202


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"subject": {}}, "/subject"),
        ({"subject": {"user_id": ""}}, "/subject/user_id"),
        ({"subject": {"user_id": []}}, "/subject/user_id"),
        ({"subject": {"user_id": ["a", 1]}}, "/subject/user_id/1"),
        ({"subject": {"user_id": "x" * 513}}, "/subject/user_id"),
        ({"subject": {"mail": "a@b"}}, "/subject"),
        ({"subject": None}, "/subject"),
        ({"regime": "lgpd"}, "/regime"),
        ({"recipient": "age1nonsense"}, "/recipient"),
        ({"recipient": new_identity()[0]}, "/recipient"),
        ({"reason": "x" * 1001}, "/reason"),
        ({"tenant_id": "a\u0000b"}, "/tenant_id"),
        ({"tenant_id": 7}, "/tenant_id"),
        ({"surprise": 1}, ""),
    ],
)
async def test_what_is_wrong_is_named_by_its_place(
    http: httpx.AsyncClient, tenant_id: TenantId, changes: dict[str, Any], pointer: str
) -> None:
    answer = await http.post(PATH, json=body(tenant_id) | changes)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error.get("pointer", "") == pointer


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"tenant_id": "\\ud800"}'])
async def test_what_is_no_json_is_said_to_be_none(http: httpx.AsyncClient, raw: bytes) -> None:
    answer = await http.post(PATH, content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_who_may_ask(http: httpx.AsyncClient, tenant_id: TenantId, recorded_audit: Any) -> None:
    made = (await http.post(PATH, json=body(tenant_id))).headers["location"]
    for caller, method, path, status in (
        ("nobody", "POST", PATH, 401),
        ("analyst", "POST", PATH, 403),
        ("auditor", "POST", PATH, 403),
        ("stranger", "POST", PATH, 403),
        ("auditor", "GET", made, 200),
        ("auditor", "GET", f"{made}/download", 403),
        ("stranger", "GET", made, 404),
        ("stranger", "GET", f"{made}?tenant_id={tenant_id}", 403),
        ("operator", "GET", made, 422),
        ("operator", "GET", f"{made}?tenant_id={tenant_id}", 200),
        ("officer", "GET", f"{PATH}/{uuid4()}", 404),
        ("officer", "GET", f"{PATH}/not-a-uuid", 422),
        ("officer", "GET", f"{made}?tenant_id=%00", 422),
    ):
        json_ = body(tenant_id) if method == "POST" else None
        answer = await http.request(method, path, json=json_, headers={"X-Api-Key": caller})
        assert answer.status_code == status, (caller, method, path, answer.text)
    denied = [(entry.actor, entry.detail["reason"]) for entry in recorded_audit.entries if entry.outcome == "denied"]
    assert ("key:stranger", "tenant") in denied
    assert ("key:analyst", "role") in denied


@pytest.fixture
async def finished(
    http: httpx.AsyncClient, memory_requests: Any, scripted: Any, files: ExportFiles, clock: Any, tenant_id: TenantId,
    chain: Any,
) -> str:  # fmt: skip
    """The location of a fulfilled request."""
    answer = await http.post(PATH, json=body(tenant_id))
    request_id = UUID(answer.json()["request_id"])
    secret, _ = new_identity()
    await memory_requests.plan(tenant_id, request_id, ["fraud"], secret)
    scripted.answers["fraud"] = [SubjectSummary(0, "", ())]
    collect = CollectStore(
        memory_requests, scripted, files, RevealSubject(vault_in_memory().vault), recipient_of, clock
    )
    await collect(tenant_id, request_id, "fraud", lambda count: None)
    await PackArchive(memory_requests, files, chain, new_identity, clock, 3600)(tenant_id, request_id)
    location: str = answer.headers["location"]
    return location


async def test_a_finished_export_is_fetched(http: httpx.AsyncClient, finished: str, recorded_audit: Any) -> None:
    document = (await http.get(finished)).json()
    assert document["status"] == "fulfilled"
    assert document["archive"]["key"] == "available"
    assert document["stores"] == [
        document["stores"][0]
        | {"store": "fraud", "state": "done", "attempts": 1, "retries": 0, "records": 0, "error": None}
    ]
    archive = await http.get(document["results_url"])
    assert archive.status_code == 200
    assert archive.content.startswith(b"age-encryption.org/v1\n")
    assert hashlib.sha256(archive.content).hexdigest() == document["archive"]["sha256"]
    assert archive.headers["cache-control"] == "no-store"
    part = await http.get(document["results_url"], headers={"Range": "bytes=0-20"})
    assert (part.status_code, part.content) == (206, archive.content[:21])
    manifest = (await http.get(document["links"]["manifest"])).json()
    assert manifest["archive"]["bytes"] == len(archive.content)
    assert manifest["audit_head"]["size"] == 5
    key = await http.post(document["links"]["download_key"])
    assert key.json()["identity"].startswith("AGE-SECRET-KEY-1")
    assert (await http.post(document["links"]["download_key"])).status_code == 409
    assert (await http.get(finished)).json()["archive"]["key"] == "handed_out"
    assert "subject_request.download" in [entry.action for entry in recorded_audit.entries]


async def test_an_unfinished_export_is_not(http: httpx.AsyncClient, tenant_id: TenantId) -> None:
    location = (await http.post(PATH, json=body(tenant_id))).headers["location"]
    for method, path in (("GET", "download"), ("GET", "manifest"), ("POST", "download-key")):
        answer = await http.request(method, f"{location}/{path}")
        assert answer.status_code == 409, path
        assert answer.headers["retry-after"] == "5"


async def test_an_expired_export_is_gone(http: httpx.AsyncClient, finished: str, clock: Any) -> None:
    clock.advance(hours=1)
    assert (await http.get(f"{finished}/download")).status_code == 410
    assert (await http.post(f"{finished}/download-key")).status_code == 410
    assert (await http.get(f"{finished}/manifest")).status_code == 200


async def test_nothing_privileged_happens_while_the_audit_log_is_away(
    http: httpx.AsyncClient, finished: str, recorded_audit: Any, workflows: CountedWorkflows
) -> None:
    recorded_audit.fault = RetryError("the log is away")
    for method, path in (
        ("GET", f"{finished}/download"),
        ("POST", f"{finished}/stores/fraud/retry"),
        ("GET", "/api/v2/audit/entries"),
    ):
        answer = await http.request(method, path)
        assert answer.status_code == 503, path
        assert b"age-encryption" not in answer.content
    assert workflows.reruns == []


async def test_a_store_is_asked_again(
    http: httpx.AsyncClient, finished: str, workflows: CountedWorkflows, recorded_audit: Any
) -> None:
    assert (await http.post(f"{finished}/stores/fraud/retry")).status_code == 202
    assert workflows.reruns == ["fraud"]
    assert (await http.post(f"{finished}/stores/warehouse/retry")).status_code == 404
    workflows.fault = RetryError("Temporal is away")
    assert (await http.post(f"{finished}/stores/fraud/retry")).status_code == 503
    outcomes = [entry.outcome for entry in recorded_audit.entries if entry.action == "subject_request.retry_store"]
    assert outcomes == ["success", "success", "failure"]


async def test_auditors_read_the_log_page_by_page_and_can_verify_what_they_read(
    http: httpx.AsyncClient, tenant_id: TenantId, recorded_audit: Any
) -> None:
    rows: list[StoredEntry] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/api/v2/audit/entries", params=query, headers={"X-Api-Key": "auditor"})).json()
        for entry in page["entries"]:
            assert entry["entry"]["tenant"] == tenant_id
            assert entry["detail"] == {"n": "1"}
            rows.append(
                StoredEntry(
                    entry["seq"],
                    entry["entry_id"],
                    base64.b64decode(entry["leaf"]),
                    bytes.fromhex(entry["leaf_hash"]),
                    bytes.fromhex(entry["salt"]),
                    base64.b64decode(entry["payload"]),
                )
            )
        cursor = page["next_cursor"]
        if cursor is None:
            break
    head = (await http.get("/api/v2/audit/head", headers={"X-Api-Key": "auditor"})).json()
    verdict = verify_chain(head["log_id"], rows, Head(head["log_id"], head["size"], bytes.fromhex(head["hash"])))
    assert verdict.intact
    assert verdict.entries == 5
    reads = [entry for entry in recorded_audit.entries if entry.action == "audit.read"]
    assert len(reads) == 3, "each page that was read is an entry"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?limit=0", 422),
        ("?limit=1001", 422),
        ("?limit=x", 422),
        ("?cursor=x", 422),
        ("?cursor=WyJhIl0", 422),  # ["a"]
        ("?cursor=W3RydWVd", 422),  # [true]
        ("?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", 422),  # [99999999999999999999]
        ("?tenant_id=stranger", 403),
    ],
)
async def test_bad_audit_queries(http: httpx.AsyncClient, query: str, status: int) -> None:
    answer = await http.get(f"/api/v2/audit/entries{query}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_who_may_read_the_log(http: httpx.AsyncClient) -> None:
    for caller, status in (("analyst", 403), ("nobody", 401), ("auditor", 200), ("operator", 200)):
        for path in ("entries", "head"):
            answer = await http.get(f"/api/v2/audit/{path}", headers={"X-Api-Key": caller})
            assert answer.status_code == status, (caller, path)


async def test_the_openapi_document_describes_body_and_answer(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi/compliance.json")).json()
    schemas = document["components"]["schemas"]
    assert schemas["ExportBody"]["required"] == ["tenant_id", "subject"]
    assert "expected_by" in schemas["SubjectRequestDocument"]["properties"]
    reference = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/ExportBody"
