"""The planter: every closed field is planted, in events that the door takes, with values that exist once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from weir_common.events import decode_event
from weir_common.events.privacy import field_privacy
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.plant.events import VERSIONS, planted_events, put
from weir_compliance.hunt.plant.identities import PATTERNS, luhn_digit
from weir_compliance.hunt.plant.passing import passing_requests

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
EVENTS = list(planted_events("shop-1", "7", 1_000, NOW))
PLANTED = [one for event in EVENTS for one in event.planted]


def test_as_many_values_as_asked_for_each_once() -> None:
    assert len(PLANTED) == 1_000
    assert len({one.value.lower() for one in PLANTED}) == 1_000
    assert len({one.label for one in PLANTED}) == 1_000
    assert all(one.kept for one in PLANTED)


def test_every_field_that_is_not_open_is_planted_in_every_version() -> None:
    closed = {pointer for pointer, policy in field_privacy().items() if policy.handling != "open"} - {
        "/unknown_fields/*"
    }
    for version in VERSIONS:
        kinds = {one.kind.split("(")[0] for event in EVENTS[:-1] if event.version == version for one in event.planted}
        assert closed <= kinds


def test_free_text_gets_every_pattern() -> None:
    patterns = Counter(one.kind.rsplit("(", 1)[1].rstrip(")") for one in PLANTED if one.kind.endswith(")"))
    assert set(PATTERNS) <= patterns.keys()


@pytest.mark.parametrize("event", EVENTS[:6] + EVENTS[-1:], ids=lambda event: event.version)
def test_the_door_takes_them_and_keeps_every_value(event: object) -> None:
    raw = msgspec.json.encode(event.event)  # type: ignore[attr-defined]
    decoded = decode_event(raw)
    kept = msgspec.json.encode(decoded.event)
    found = {match.planted.label for match in Matcher(event.planted).matches(kept)}  # type: ignore[attr-defined]
    assert found == {one.label for one in event.planted}  # type: ignore[attr-defined]


def test_the_same_seed_gives_the_same_values_and_another_tenant_others() -> None:
    assert [event.event for event in planted_events("shop-1", "7", 1_000, NOW)] == [event.event for event in EVENTS]
    others = {one.value for event in planted_events("shop-2", "7", 1_000, NOW) for one in event.planted}
    assert not others & {one.value for one in PLANTED}


def test_cards_pass_luhn() -> None:
    assert luhn_digit("7992739871") == "3"
    cards = [one.value for one in PLANTED if one.kind.endswith("(card)")]
    assert cards
    for card in cards:
        digits = "".join(filter(str.isdigit, card))
        assert luhn_digit(digits[:-1]) == digits[-1]


def test_no_number_is_so_short_that_the_mesh_writes_it_by_chance() -> None:
    numbers = [
        one.value for one in PLANTED if one.value.count(".") == 1 and one.value.strip("-").replace(".", "").isdigit()
    ]
    assert len(numbers) > 10
    assert {len(number.strip("-")) for number in numbers} == {16}


def test_what_passes_is_marked_so_and_each_value_is_in_one_request() -> None:
    requests = list(passing_requests("shop-1", "7", NOW))
    assert not any(request.planted.kept for request in requests)
    assert len({request.planted.value for request in requests}) == len(requests)
    kinds = {request.planted.kind for request in requests}
    assert {"header:user-agent", "credential:bearer", "refused:broken-json", "path:/account/*"} <= kinds
    matcher = Matcher([request.planted for request in requests])
    for request in requests:
        sent = [request.target, *request.headers.values(), *(request.credential or {}).values()]
        found = {
            one.planted for text in (request.body, *(part.encode() for part in sent)) for one in matcher.matches(text)
        }
        assert found == {request.planted}


def test_a_member_is_put_where_its_pointer_says() -> None:
    document: dict[str, object] = {"a": [{"b": 1}]}
    put(document, "/a/*/c", 2)
    put(document, "/d/*/*", 3)
    put(document, "/e/x~1y", 4)
    assert document == {"a": [{"b": 1, "c": 2}], "d": [[{}]], "e": {"x/y": 4}} or document["a"] == [{"b": 1, "c": 2}]


def test_versions_alternate() -> None:
    assert all(one.version != two.version for one, two in pairwise(EVENTS))
