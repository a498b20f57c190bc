"""Rollups of any order and split of a stream equal the plain recomputation from the events."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weir_analytics.adapters.memory_books import MemoryBooks
from weir_analytics.apply_events import apply_to_tenant, decode
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.domain.metric import Figures
from weir_analytics.domain.recompute import recompute
from weir_analytics.domain.rollup import Rollup
from weir_analytics.errors import UndecodableRecord
from weir_analytics.read_dashboard import ReadDashboard
from weir_common.consent import Purpose
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.records import Record
from weir_common.kafka.topics import DECISIONS, EVENTS

CATALOGUE = load_catalogue()
TENANT = TenantId("t")
START = datetime(2024, 1, 15, 23, 0, tzinfo=UTC)
Json = dict[str, Any]


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


amounts = st.one_of(st.none(), st.integers(0, 99_999).map(lambda cents: Decimal(cents) / 100), some(Decimal("1e20")))
products = st.fixed_dictionaries(
    {
        "product_hierarchy": st.one_of(
            st.none(), st.fixed_dictionaries({"category_l1": some("Toys", "Books", "Food", None)})
        ),
        "pricing": st.one_of(
            st.none(),
            st.fixed_dictionaries({"sale_price": amounts, "currency": some("USD", "USD", "usd", "EUR", None)}),
        ),
    },
    optional={"quantity": some(1, 2, 3, 0, None, "two", True)},
)
carts = st.fixed_dictionaries(
    {
        "cart_id": some("c1", "c2", "c3", "c4", None),
        "cart_value": st.fixed_dictionaries(
            {
                "subtotal": amounts,
                "final_total": amounts,
                "discounts_applied": st.lists(st.fixed_dictionaries({"discount_amount": amounts}), max_size=2),
            },
            optional={"currency": some("USD", "JPY", "EURO", 7)},
        ),
        "payment_context": st.fixed_dictionaries(
            {
                "shipping_context": st.fixed_dictionaries(
                    {"shipping_address": st.fixed_dictionaries({"country": some("US", "UK", "de", "Germany", None)})}
                )
            }
        ),
    }
)
transactions = st.fixed_dictionaries(
    {"products": st.lists(products, max_size=3), "cart_context": st.one_of(st.none(), carts)},
    optional={"order_id": some("o1", "o2", 5, "")},
)

privacy_settings = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={f"{name}_consent": some(True, False, False, None) for name in ("analytics", "marketing", "tracking")},
    ),
)


@st.composite
def events(draw: st.DrawFn) -> Json:
    subtype = draw(some("page_view", "add_to_cart", "purchase", "purchase"))
    minute = draw(st.one_of(st.integers(0, 360), some(0, 30, 60, 90, 120)))
    at = START + timedelta(minutes=minute, microseconds=draw(some(0, 0, 1, 999_999)))
    event: Json = {
        "event_metadata": {
            "event_id": f"e{draw(st.integers(0, 10**9))}",
            "timestamp": at.isoformat(),
            "source_system": draw(some("web_app", "web_app", "mobile_app", "api", None)),
        },
        "event_data": {
            "event_type": "transaction"
            if subtype == "purchase"
            else draw(some("user_interaction", "user_interaction", "system_event")),
            "event_subtype": subtype,
            "user_context": draw(
                st.one_of(
                    st.none(),
                    st.fixed_dictionaries(
                        {
                            "user_id": some("U1", "U2", None, None),
                            "anonymous_id": some("A1", "A1", "A2", None),
                            "session_data": st.fixed_dictionaries(
                                {
                                    "session_id": some("s1", "s1", "s2", None),
                                    "session_sequence": some(None, 1, 2),
                                    "session_attributes": st.one_of(
                                        st.none(), st.fixed_dictionaries({"device_fingerprint": some("f1", None)})
                                    ),
                                }
                            ),
                        }
                    ),
                )
            ),
        },
    }
    settings = draw(privacy_settings)
    if settings is not None and event["event_data"]["user_context"] is not None:
        event["event_data"]["user_context"]["user_profile"] = {"preferences": {"privacy_settings": settings}}
    if subtype == "purchase":
        event["event_data"]["business_context"] = {"transaction_context": draw(transactions)}
    else:
        paint = draw(st.one_of(st.none(), st.floats(-1, 1e5), some(0)))
        page = {"page_context": {"page_load_metrics": {"largest_contentful_paint": paint}}}
        event["event_data"]["business_context"] = {"interaction_context": page}
    return event


@st.composite
def decisions(draw: st.DrawFn) -> Json:
    return {
        "event_id": f"d{draw(st.integers(0, 10**9))}",
        "event_timestamp": (START + timedelta(minutes=draw(st.integers(0, 360)))).isoformat(),
        "outcome": draw(some("approve", "review", "decline")),
        "amount": draw(amounts),
        "currency": draw(some("USD", "EUR", None)),
    }


_NUMBERS = msgspec.json.Encoder(decimal_format="number")
"""Decimals as JSON numbers, as senders write them."""


def refused(event: Json) -> set[str]:
    user = event["event_data"].get("user_context") or {}
    settings = ((user.get("user_profile") or {}).get("preferences") or {}).get("privacy_settings") or {}
    return {name for name in ("analytics", "marketing", "tracking") if settings.get(f"{name}_consent") is False}


def record(topic: str, value: Json, offset: int) -> Record:
    """As ingest writes it."""
    event_id = value["event_id"] if topic == DECISIONS else value["event_metadata"]["event_id"]
    refusals = set() if topic == DECISIONS else refused(value)
    consent = {"weir-consent": ",".join(sorted(refusals)).encode()} if refusals else {}
    return Record(
        topic,
        0,
        offset,
        1_705_314_600_000 + offset,
        b"",
        _NUMBERS.encode(value),
        {"weir-tenant": TENANT.encode(), "weir-event-id": event_id.encode(), **consent},
    )


@given(
    st.lists(events(), max_size=40, unique_by=lambda event: event["event_metadata"]["event_id"]),
    st.lists(decisions(), max_size=8, unique_by=lambda decision: decision["event_id"]),
    st.randoms(use_true_random=False),
    st.integers(0, 359),
    st.integers(1, 400),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
async def test_order_and_split_do_not_matter_and_equal_the_recomputation(
    several: list[Json], scored: list[Json], random_: random.Random, first_minute: int, minutes: int
) -> None:
    stream = [record(EVENTS, event, n) for n, event in enumerate(several)]
    stream += [record(DECISIONS, decision, 10_000 + n) for n, decision in enumerate(scored)]
    start = START + timedelta(minutes=first_minute)
    end = start + timedelta(minutes=minutes)
    expected = recompute(several, scored, start, end)
    for _ in range(2):
        random_.shuffle(stream)
        books = MemoryBooks()
        position = 0
        while position < len(stream):
            size = random_.randint(1, 12)
            for tenant_id, part in decode(stream[position : position + size]).items():
                await apply_to_tenant(CATALOGUE, tenant_id, part, await books.of(tenant_id))
            position += size
        dashboard = await ReadDashboard(CATALOGUE, books)(TENANT, start, end)
        assert dashboard.figures == expected


@given(st.lists(events(), min_size=1, max_size=15, unique_by=lambda event: event["event_metadata"]["event_id"]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
async def test_a_repeat_older_than_the_window_does_not_sell_or_begin_a_session_again(several: list[Json]) -> None:
    """The consumer drops repeats of 15 minutes, the receipts those of longer; this is the third line of defence."""
    books = MemoryBooks()
    for _ in range(2):
        for n, event in enumerate(several):
            for tenant_id, part in decode([record(EVENTS, event, n)]).items():
                await apply_to_tenant(CATALOGUE, tenant_id, part, await books.of(tenant_id))
    once = recompute(several, [], START, START + timedelta(days=1))
    twice = (await ReadDashboard(CATALOGUE, books)(TENANT, START, START + timedelta(days=1))).figures
    del once["page_load_p95"], twice["page_load_p95"]  # a histogram cannot know whom it has counted
    assert twice == once


async def figures_of(several: list[Json]) -> tuple[dict[str, Figures], Mapping[str, int]]:
    """Every figure, and what they leave out."""
    books = MemoryBooks()
    for tenant_id, part in decode([record(EVENTS, event, n) for n, event in enumerate(several)]).items():
        await apply_to_tenant(CATALOGUE, tenant_id, part, await books.of(tenant_id))
    dashboard = await ReadDashboard(CATALOGUE, books)(TENANT, START, START + timedelta(days=1))
    return dashboard.figures, dashboard.left_out


def without_consents(event: Json) -> Json:
    changed = copy.deepcopy(event)
    (changed["event_data"]["user_context"] or {}).pop("user_profile", None)
    return changed


@given(st.lists(events(), max_size=25, unique_by=lambda event: event["event_metadata"]["event_id"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
async def test_a_refusal_changes_no_figure_of_the_trade_and_is_as_good_as_absence_in_the_others(
    several: list[Json],
) -> None:
    """The figures with refused events equal, by purpose: trade and security those in which nobody refused anything; behaviour
    and people those of a stream in which the events with the refusal never came."""
    told, left_out = await figures_of(several)
    open_, _ = await figures_of([without_consents(event) for event in several])
    measured, _ = await figures_of([event for event in several if "analytics" not in refused(event)])
    known_again, _ = await figures_of([event for event in several if not {"analytics", "tracking"} & refused(event)])
    expected = {
        Purpose.TRADE: open_,
        Purpose.SECURITY: open_,
        Purpose.BEHAVIOUR: measured,
        Purpose.PEOPLE: known_again,
    }
    for metric in CATALOGUE:
        assert told[metric.name] == expected[metric.purpose][metric.name], metric.name
    for name in ("analytics", "tracking"):
        assert left_out.get(f"{name}_refused", 0) == sum(name in refused(event) for event in several)


@given(st.lists(events(), max_size=15, unique_by=lambda event: event["event_metadata"]["event_id"]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
async def test_nothing_is_kept_by_which_a_subject_who_refused_would_be_known_again(several: list[Json]) -> None:
    refusing = [event for event in several if {"analytics", "tracking"} & refused(event)]
    parts = decode([record(EVENTS, event, n) for n, event in enumerate(refusing)])
    for tenant_id, part in parts.items():
        books = MemoryBooks()
        await apply_to_tenant(CATALOGUE, tenant_id, part, await books.of(tenant_id))
        assert not part.activities
        assert part.events == len(refusing), "applied all the same"
        seen = Rollup(CATALOGUE)
        for fact in part.facts:
            seen.add(fact)
        assert not {cell.metric for cell in seen.sketches()} & {"active_people"}


def test_an_unreadable_refusal_puts_the_event_aside() -> None:
    bad = Record(EVENTS, 0, 0, 0, b"", b"{}", {"weir-tenant": b"t", "weir-event-id": b"e", "weir-consent": b"\xff"})
    event = {
        "event_metadata": {"event_id": "e", "timestamp": START.isoformat()},
        "event_data": {"event_type": "user_interaction", "event_subtype": "page_view"},
    }
    with pytest.raises(QuarantineError):
        decode([msgspec.structs.replace(bad, value=msgspec.json.encode(event))])


async def test_what_was_left_out_is_told() -> None:
    purchase = {
        "event_metadata": {"event_id": "e", "timestamp": START.isoformat(), "source_system": "web_app"},
        "event_data": {
            "event_type": "transaction",
            "event_subtype": "purchase",
            "business_context": {
                "transaction_context": {
                    "order_id": "o",
                    "products": [{"pricing": {"sale_price": 1, "currency": "USD"}}, {"pricing": {"currency": "EUR"}}],
                }
            },
        },
    }
    again = {**purchase, "event_metadata": {**purchase["event_metadata"], "event_id": "f"}}
    books = MemoryBooks()
    for tenant_id, part in decode([record(EVENTS, purchase, 0), record(EVENTS, again, 1)]).items():
        await apply_to_tenant(CATALOGUE, tenant_id, part, await books.of(tenant_id))
    dashboard = await ReadDashboard(CATALOGUE, books)(TENANT, START, START + timedelta(minutes=1))
    assert dashboard.left_out == {
        "duplicate_order": 1,
        "order_line_without_quantity": 2,
        "purchase_without_currency": 1,
        "purchase_without_total": 1,
    }


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b'{"event_metadata":{"event_id":"e","timestamp":"2024-01-15T10:30:00"},"event_data":{}}',
        b"\xff",
    ],
)
def test_a_value_that_is_no_event_is_put_aside(value: bytes) -> None:
    bad = Record(EVENTS, 3, 7, 0, b"", value, {"weir-tenant": b"t", "weir-event-id": b"e"})
    with pytest.raises(UndecodableRecord) as caught:
        decode([bad])
    assert caught.value.record is bad
