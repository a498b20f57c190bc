"""The dashboard over HTTP: what it answers, and how it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from weir_analytics.adapters.memory_books import MemoryBooks
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.rollup import Cell
from weir_analytics.entrypoints.http import analytics_router
from weir_analytics.ports import Changes
from weir_analytics.read_dashboard import ReadDashboard
from weir_common.audit import AuditEntry, AuditTrail
from weir_common.auth import Authenticator, Principal, Role
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.problems import Unauthenticated
from weir_common.readiness import Readiness

CATALOGUE = load_catalogue()
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "/api/v2/analytics/realtime/dashboard"
Ask = Callable[..., Any]


class Keys(Authenticator):
    """The key says who calls: `<tenant>:<role>`; no tenant for operators."""

    def __init__(self) -> None:
        pass

    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        if api_key is None:
            raise Unauthenticated("no key")
        tenant, _, role = api_key.partition(":")
        return Principal(TenantId(tenant) if tenant else None, "key:1", "machine", frozenset({Role(role)}))


class Trail(AuditTrail):
    """Keeps entries."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry, *, timeout: float = 5.0) -> None:
        self.entries.append(entry)


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
async def client(trail: Trail) -> AsyncIterator[httpx.AsyncClient]:
    books = MemoryBooks()
    at = int(NOON.timestamp())
    await (await books.of(TenantId("t"))).store(
        Changes(
            counters={
                Cell(metric, step, at, dimensions): sums
                for step in (60, 900)
                for metric, dimensions, sums in (
                    ("total_sales", ("USD",), (Decimal("10.50"), Decimal(2))),
                    ("total_sales", ("JPY",), (Decimal(300), Decimal(1))),
                    ("average_order_value", ("USD",), (Decimal("10"), Decimal(3))),
                    ("fraud_rate", ("count",), (Decimal(1), Decimal(3))),
                    ("fraud_rate", ("JPY",), (Decimal(300), Decimal(300))),
                    ("top_categories", ("USD", "Toys"), (Decimal("10.50"), Decimal(2))),
                    ("left_out", ("duplicate_order",), (Decimal(4), Decimal(4))),
                    ("retired_metric", (), (Decimal(1), Decimal(1))),
                )
            },
            newest_accepted_at=NOON,
        )
    )
    app = create_app(
        service="analytics",
        title="t",
        description="d",
        readiness=Readiness(),
        authenticator=Keys(),
        audit=trail,
    )
    app.include_router(analytics_router(ReadDashboard(CATALOGUE, books), CATALOGUE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://analytics", headers={"X-Api-Key": "t:analyst"}
    ) as opened:
        yield opened


RANGE = {"from": "2026-11-25T12:00:00Z", "to": "2026-11-25T12:02:30Z"}


async def test_the_figures_and_their_course(client: httpx.AsyncClient) -> None:
    answer = await client.get(URL, params=RANGE)
    assert answer.status_code == 200
    document = answer.json()
    assert (document["from"], document["to"]) == ("2026-11-25T12:00:00Z", "2026-11-25T12:03:00Z")
    assert document["step_seconds"] == 60
    assert document["buckets"] == [f"2026-11-25T12:0{n}:00Z" for n in range(3)]
    assert document["left_out"] == {"duplicate_order": 4}
    assert set(document["metrics"]) == {metric.name for metric in CATALOGUE}
    sales = document["metrics"]["total_sales"]
    assert sales["figures"] == [
        {"currency": "JPY", "value": "300", "count": 1},
        {"currency": "USD", "value": "10.50", "count": 2},
    ]
    assert sales["series"][1] == {"currency": "USD", "values": ["10.50", "0", "0"]}
    order_value = document["metrics"]["average_order_value"]
    assert order_value["figures"] == [
        {"currency": "USD", "value": "3.333333333", "numerator": "10", "denominator": "3"}
    ]
    assert order_value["series"][0]["values"] == ["3.333333333", None, None]
    assert document["metrics"]["top_categories"]["figures"] == [
        {"currency": "USD", "places": [{"item": "Toys", "value": "10.50", "count": 2}]}
    ]
    assert "series" not in document["metrics"]["top_categories"]
    assert document["metrics"]["sessions"]["figures"] == [{"value": "0", "count": 0}]
    assert document["metrics"]["active_people"]["figures"] == [{"value": 0, "exact": True}]
    assert document["metrics"]["page_load_p95"]["figures"] == [{"value": None, "count": 0}]


async def test_one_currency_can_be_asked_for(client: httpx.AsyncClient) -> None:
    document = (await client.get(URL, params={**RANGE, "currency": "usd"})).json()
    assert [figure["currency"] for figure in document["metrics"]["total_sales"]["figures"]] == ["USD"]
    assert [figure["basis"] for figure in document["metrics"]["fraud_rate"]["figures"]] == ["count"]


async def test_the_range_is_the_last_day_by_default(client: httpx.AsyncClient) -> None:
    document = (await client.get(URL)).json()
    end = datetime.fromisoformat(document["to"])
    assert abs(end - datetime.now(UTC)) < timedelta(minutes=2)
    assert end - datetime.fromisoformat(document["from"]) <= timedelta(hours=24, minutes=1)
    until_noon = (await client.get(URL, params={"to": "2026-11-25T12:00:00+02:00"})).json()
    assert (until_noon["from"], until_noon["to"]) == ("2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z")


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-11-25T12:00:00"}, "to"),
        ({"to": "2026-13-25T12:00:00Z"}, "to"),
        ({"to": "2026-11-25"}, "to"),
        ({"to": ""}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "0001-01-02T00:00:00Z"}, "from"),
        ({"from": "2026-11-25T12:00:00Z", "to": "2026-11-25T11:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-11-25T11:00:00Z"}, "from"),
        ({"currency": "dollars"}, "currency"),
    ],
)
async def test_bad_parameters_are_told(client: httpx.AsyncClient, parameters: dict[str, str], parameter: str) -> None:
    answer = await client.get(URL, params=parameters)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert error["expected"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"},
        {"to": "0001-01-01T10:00:00Z"},
        {"from": "9999-12-31T00:00:00Z", "to": "9999-12-31T23:59:00Z"},
    ],
)
async def test_the_ends_of_the_calendar_are_empty_but_there(
    client: httpx.AsyncClient, parameters: dict[str, str]
) -> None:
    assert (await client.get(URL, params=parameters)).status_code == 200


async def test_a_plus_sign_that_came_as_a_space_is_understood(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{URL}?from=2026-11-25T12:00:00+02:00&to=2026-11-25T13:00:00+02:00")
    assert answer.json()["from"] == "2026-11-25T10:00:00Z"


async def test_another_tenants_dashboard_is_refused_and_audited(client: httpx.AsyncClient, trail: Trail) -> None:
    answer = await client.get(URL, params={"tenant_id": "u"})
    assert answer.status_code == 403
    (entry,) = trail.entries
    assert (entry.tenant_id, entry.outcome, entry.detail["tenant_asked"]) == ("t", "denied", "u")


async def test_an_operator_names_the_tenant(client: httpx.AsyncClient, trail: Trail) -> None:
    operator = {"X-Api-Key": ":operator"}
    assert (await client.get(URL, headers=operator)).json()["errors"][0]["parameter"] == "tenant_id"
    answer = await client.get(URL, headers=operator, params={"tenant_id": "t", **RANGE})
    assert answer.json()["tenant_id"] == "t"
    assert [entry.outcome for entry in trail.entries] == ["success"]


async def test_a_role_without_dashboards_and_nobody_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(URL, headers={"X-Api-Key": "t:billing"})).status_code == 403
    del client.headers["X-Api-Key"]
    assert (await client.get(URL)).status_code == 401


async def test_the_catalogue_is_served(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v2/analytics/metrics")).json()
    assert [metric["name"] for metric in document["metrics"]] == [metric.name for metric in CATALOGUE]
    orders = next(metric for metric in document["metrics"] if metric["name"] == "orders")
    assert orders["class"] == "A"
    assert {"currency": "USD", "value": "2", "count": 2} in orders["example"]
    assert all(metric["trap"] and metric["follows"] for metric in document["metrics"])
