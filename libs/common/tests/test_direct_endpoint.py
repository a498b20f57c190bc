"""The hot route keeps the contract of all others: credential, role, limits, problems, counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from weir_common.auth import Action, Principal, Role
from weir_common.direct_endpoint import Answer, DirectEndpoint, DirectRequest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.problems import Conflict, Problem, TooManyRequests, Unauthenticated

SHOP = TenantId("shop")
CALLERS = {
    "ingest": Principal(SHOP, "key:1", "machine", frozenset({Role.INGEST})),
    "analyst": Principal(SHOP, "key:2", "machine", frozenset({Role.ANALYST})),
    "platform": Principal(None, "key:3", "machine", frozenset({Role.OWNER})),
}


class Authenticator:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        if api_key not in CALLERS:
            raise Unauthenticated("no")
        return CALLERS[api_key]


class Audit:
    def __init__(self) -> None:
        self.entries: list[Any] = []

    async def record(self, entry: Any) -> None:
        self.entries.append(entry)


class Meter:
    def __init__(self) -> None:
        self.counts: list[tuple[str, str, int, int]] = []

    def count(self, tenant_id: str, route: str, method: str, status: int, seconds: float, *, events: int = 0) -> None:
        assert 0 <= seconds < 10
        self.counts.append((tenant_id, route, status, events))


class Edge:
    def __init__(self) -> None:
        self.audit, self.meter = Audit(), Meter()
        self.requests: list[DirectRequest] = []
        self.fault: Exception | None = None
        self.refusal: Problem | None = None
        self.admitted: list[tuple[str, str]] = []
        app = Starlette(routes=[Route("/other", lambda _: PlainTextResponse("the application"))])
        endpoint = DirectEndpoint(
            app,
            self.handle,
            method="POST",
            path="/hot",
            action=Action.EVENTS_WRITE,
            authenticator=Authenticator(),  # type: ignore[arg-type]
            audit=self.audit,  # type: ignore[arg-type]
            meter=self.meter,  # type: ignore[arg-type]
            max_body_bytes=10,
            admit=self.admit,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(endpoint), base_url="http://weir")

    @asynccontextmanager
    async def admit(self, tenant_id: str, headers: Mapping[str, str]) -> AsyncIterator[None]:
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append(("in", headers.get("content-length", "")))
        try:
            yield
        finally:
            self.admitted.append(("out", tenant_id))

    async def handle(self, request: DirectRequest) -> Answer:
        self.requests.append(request)
        if self.fault is not None:
            raise self.fault
        return Answer(202, b"{}", {"x-more": "1"}, events=3)

    async def post(self, who: str = "ingest", body: bytes = b"body", path: str = "/hot?a=1&b=") -> httpx.Response:
        return await self.client.post(path, content=body, headers={"x-api-key": who})


@pytest.fixture
def edge() -> Edge:
    return Edge()


async def test_the_handler_gets_the_request_and_its_answer_is_sent_and_counted(edge: Edge) -> None:
    answer = await edge.post()
    assert (answer.status_code, answer.json(), answer.headers["x-more"]) == (202, {}, "1")
    assert answer.headers["content-type"] == "application/json"
    (request,) = edge.requests
    assert (request.tenant_id, request.body, request.query) == (SHOP, b"body", {"a": "1", "b": ""})
    assert edge.meter.counts == [(SHOP, "/hot", 202, 3)]


async def test_everything_else_goes_to_the_application(edge: Edge) -> None:
    assert (await edge.client.get("/other")).text == "the application"
    other = await edge.client.get("/hot")
    assert (other.status_code, other.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("analyst", 403), ("platform", 403)])
async def test_who_may_not_is_refused_before_the_body_is_read(edge: Edge, who: str, status: int) -> None:
    answer = await edge.post(who, b"x" * 1_000)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert edge.requests == []
    assert [entry.outcome for entry in edge.audit.entries] == (["denied"] if who == "analyst" else [])


async def test_the_limit_holds_for_the_declared_and_for_the_sent_length(edge: Edge) -> None:
    async def chunks() -> Any:
        for _ in range(3):
            yield b"xxxx"

    declared = await edge.post(body=b"x" * 11)
    sent = await edge.client.post("/hot", content=chunks(), headers={"x-api-key": "ingest"})
    for answer in (declared, sent):
        assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 10)
    assert (await edge.post(body=b"x" * 10)).status_code == 202


@pytest.mark.parametrize(
    ("fault", "status"), [(Conflict("c"), 409), (RetryError("r"), 503), (TimeoutError(), 503), (ValueError("bug"), 500)]
)
async def test_a_fault_becomes_a_problem_document_that_tells_nothing_inside(
    edge: Edge, fault: Exception, status: int
) -> None:
    edge.fault = fault
    answer = await edge.post()
    assert (answer.status_code, answer.json()["status"], answer.json()["instance"]) == (status, status, "/hot")
    assert "bug" not in answer.text
    assert edge.meter.counts == [(SHOP, "/hot", status, 0)]


async def test_what_is_not_admitted_is_answered_unread_and_counted(edge: Edge) -> None:
    edge.refusal = TooManyRequests("later", retry_after_seconds=3, headers={"x-more": "1"})
    answer = await edge.post(body=b"x" * 1_000)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-more"]) == (429, "3", "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (edge.requests, edge.meter.counts) == ([], [(SHOP, "/hot", 429, 0)])


async def test_a_request_is_admitted_until_it_is_done_also_when_it_fails(edge: Edge) -> None:
    await edge.post()
    edge.fault = RetryError("away")
    assert (await edge.post()).status_code == 503
    assert (await edge.post(body=b"x" * 1_000)).status_code == 413
    assert edge.admitted == [("in", "4"), ("out", SHOP), ("in", "4"), ("out", SHOP), ("in", "1000"), ("out", SHOP)]


async def test_who_may_not_is_refused_before_it_is_asked_for_room(edge: Edge) -> None:
    edge.refusal = TooManyRequests("later")
    assert (await edge.post("nobody")).status_code == 401
    assert (await edge.post("analyst")).status_code == 403
