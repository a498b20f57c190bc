"""No amount and no instant of the event is left out of the checks that a decoder cannot make."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, get_args, get_origin

import pytest
from weir_common.events import EventRejected, decode_event
from weir_common.events.event import Event
from weir_common.events.ranges import is_amount
from weir_common.events.shape import Leaf, leaves, shape_of

Document = dict[str, Any]
Put = Callable[[Document, str, Any], bytes]


def places(kind: type) -> list[str]:
    return [pointer for pointer, leaf in leaves(shape_of(Event)) if _kind(leaf) is kind]


def _kind(leaf: Leaf) -> Any:
    return get_args(leaf.kind)[0] if get_origin(leaf.kind) is Annotated else leaf.kind


def test_there_are_amounts_and_instants() -> None:
    assert len(places(Decimal)) == 13
    assert len(places(datetime)) == 8


@pytest.mark.parametrize("place", places(Decimal))
@pytest.mark.parametrize("amount", ["NaN", "Infinity", "sNaN", "1e18"])
def test_no_amount_is_left_out(full: Document, put: Put, place: str, amount: str) -> None:
    pointer = place.replace("*", "1")
    with pytest.raises(EventRejected) as caught:
        decode_event(put(full, pointer, amount))
    assert [(error.pointer, error.got) for error in caught.value.errors] == [(pointer, f'"{amount}"')]


@pytest.mark.parametrize("place", places(datetime))
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_no_instant_is_left_out(full: Document, put: Put, place: str, instant: str) -> None:
    pointer = place.replace("*", "1")
    with pytest.raises(EventRejected) as caught:
        decode_event(put(full, pointer, instant))
    assert [(error.pointer, error.got) for error in caught.value.errors] == [(pointer, f'"{instant}"')]


@pytest.mark.parametrize("seed", range(30))
def test_events_with_gaps_are_in_range(full: Document, put: Put, seed: int) -> None:
    """Any part may be missing, null, or an empty list."""
    rng = random.Random(seed)

    def thin(part: Any) -> None:
        for name in sorted(part.keys() - {"event_id", "timestamp", "source_system", "event_type", "event_subtype"}):
            value = part[name]
            if isinstance(value, dict):
                if name not in ("event_metadata", "event_data", "coordinates") and rng.random() < 0.15:
                    part[name] = None
                elif name not in ("coordinates",):
                    thin(value)
            elif isinstance(value, list) and rng.random() < 0.2:
                part[name] = []
            elif isinstance(value, list) and isinstance(value[0], dict):
                for item in value:
                    thin(item)
            elif name not in ("schema_version", "tenant_id") and rng.random() < 0.3:
                del part[name]

    thin(full)
    assert decode_event(put(full, "/partition_key", "x")).unknown == ()


@pytest.mark.parametrize(
    ("amount", "valid"),
    [
        ("0", True),
        ("-999999999999999999.9999999999999999999999", True),
        ("0.1234567890123456789012345678901234567890", True),
        ("0.12345678901234567890123456789012345678901", False),
        ("1E+17", True),
        ("1E+18", False),
        ("0E+17", True),
        ("0E+18", False),
        ("1E-60", True),
        ("1E-61", False),
        ("NaN", False),
        ("sNaN", False),
        ("-Infinity", False),
    ],
)
def test_the_range_of_an_amount(amount: str, valid: bool) -> None:
    assert is_amount(Decimal(amount)) is valid
