"""What every HTTP edge refuses before it looks anything up: cursors, tenants, lengths; and what it says of methods and parameters."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from fastapi import Query
from weir_common.audit import PLATFORM
from weir_common.auth import Action, Principal, Role
from weir_common.http import CursorParameter, MsgspecResponse, TenantParameter, create_app, declares_more, enter_tenant
from weir_common.ids import TenantId
from weir_common.pagination import MAX_CURSOR_CHARACTERS, decode_cursor, decode_time_and_id, encode_cursor
from weir_common.problems import InvalidRequest
from weir_common.readiness import Readiness

ID = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
OPERATOR = Principal(None, "key:1", "machine", frozenset({Role.OPERATOR}))


def cursor_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "é",
        "\x00",
        "====",
        cursor_of("null"),
        cursor_of("{}"),
        cursor_of("[1]"),
        cursor_of("[1,2,3]"),
        cursor_of("[1," + "9" * 200 + "]")[:-1],
        cursor_of("[" * 300),
        cursor_of("[" * 60_000),
        "A" * (MAX_CURSOR_CHARACTERS + 1),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_cursor_that_nobody_gave_out(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_cursor(cursor, 2)
    (error,) = caught.value.errors
    assert (caught.value.status, error.parameter) == (422, "cursor")
    assert len(error.got) <= 80


@pytest.mark.parametrize(
    "key",
    [
        f'["nan","{ID}"]',
        f'["1e999","{ID}"]',
        f'[1e308,"{ID}"]',
        '[{},"{}"]'.format("9" * 310, ID),
        f'[true,"{ID}"]',
        f'[null,"{ID}"]',
        '[1,"x"]',
        "[1,2]",
        "[1,null]",
        f'[1,"{ID}\\u0000"]',
    ],
)
def test_a_cursor_of_a_list_by_time_has_a_time_and_an_id(key: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_time_and_id(cursor_of(key))


def test_a_cursor_that_was_given_out() -> None:
    assert decode_time_and_id(encode_cursor([1.5, ID])) == (1.5, ID)
    assert decode_time_and_id(encode_cursor([-3, ID])) == (-3.0, ID)


@pytest.mark.parametrize(
    ("declared", "more"),
    [
        (b"", False),
        (b"0", False),
        (b"100", False),
        (b"101", True),
        (b"00000000000101", True),
        (b"0000000000000100", False),
        (b"9" * 5_000, True),  # Python refuses to convert so many digits
        ("²".encode("latin-1"), False),
        (b"-5", False),
        (b"1e9", False),
        (b" 101", False),
    ],
)
def test_a_declared_length_is_compared_whatever_it_is(declared: bytes, more: bool) -> None:
    assert declares_more(declared, 100) is more


class Audit:
    def __init__(self) -> None:
        self.entries: list[Any] = []

    async def record(self, entry: Any) -> None:
        self.entries.append(entry)


class Edge:
    def __init__(self) -> None:
        self.audit = Audit()
        anyone: Any = None
        audit: Any = self.audit
        self.app = create_app(
            service="test", title="Test", description="", readiness=Readiness(), authenticator=anyone, audit=audit
        )

        @self.app.get("/things")
        async def things(
            tenant_id: TenantParameter = None,
            cursor: CursorParameter = None,
            limit: Annotated[int, Query(ge=1, le=500)] = 10,
        ) -> MsgspecResponse:
            return MsgspecResponse({"tenant_id": tenant_id})

        @self.app.post("/things")
        async def make() -> MsgspecResponse:
            return MsgspecResponse({})

        @self.app.delete("/things/{name}")
        async def remove(name: str) -> MsgspecResponse:
            return MsgspecResponse({})

        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://weir")


@pytest.fixture(scope="module")
def edge() -> Edge:
    return Edge()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("tenant_id=", "tenant_id"),
        ("tenant_id=%00", "tenant_id"),
        ("tenant_id=shop%00", "tenant_id"),
        ("tenant_id=shop%0A", "tenant_id"),
        ("tenant_id=" + "x" * 64, "tenant_id"),
        ("tenant_id=%ed%a0%80", "tenant_id"),
        ("tenant_id=%ff", "tenant_id"),
        ("tenant_id=__platform__", "tenant_id"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "x" * 513, "cursor"),
        ("limit=", "limit"),
        ("limit=0", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1e2", "limit"),
        ("limit=NaN", "limit"),
        ("limit=9223372036854775808", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("limit=%D9%A1%00", "limit"),
    ],
)
async def test_a_parameter_that_is_none(edge: Edge, query: str, parameter: str) -> None:
    answer = await edge.client.get(f"/things?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert (error["parameter"], bool(error["expected"])) == (parameter, True)
    assert len(error.get("got", "")) <= 120


@pytest.mark.parametrize("name", ["", "\x00", "shop\x00", "shop\n", "../other", "x" * 64, "\ud800", "é", "__other__"])
async def test_what_can_be_no_tenant_is_not_looked_for_and_not_written_to_the_audit_log(edge: Edge, name: str) -> None:
    trail: Any = edge.audit
    with pytest.raises(InvalidRequest) as caught:
        await enter_tenant(trail, "GET /things", OPERATOR, TenantId(name), Action.DASHBOARD_READ)
    assert caught.value.errors[0].pointer == "/tenant_id"
    assert edge.audit.entries == []
    assert PLATFORM == "__platform__"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/things", "GET, POST"), ("OPTIONS", "/things", "GET, POST"), ("GET", "/things/x", "DELETE")],
)
async def test_another_method_is_told_all_that_the_path_has(edge: Edge, method: str, path: str, allowed: str) -> None:
    answer = await edge.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_the_document_says_how_parameters_can_be_sent_and_what_problems_there_are(edge: Edge) -> None:
    document = msgspec.json.decode(msgspec.json.encode(edge.app.openapi()))
    operation = document["paths"]["/things"]["get"]
    by_name = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
    assert by_name["tenant_id"]["type"] == "string"
    assert "anyOf" not in by_name["tenant_id"]
    assert by_name["cursor"]["maxLength"] == MAX_CURSOR_CHARACTERS
    assert operation["responses"]["200"]["content"]["application/json"]["schema"].get("type") != "string"
    assert {"400", "401", "403", "408", "413", "422", "429", "431", "503", "504"} <= operation["responses"].keys()
