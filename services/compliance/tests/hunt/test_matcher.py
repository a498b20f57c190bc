"""The automaton: overlapping values, and texts in which values are replaced by labels."""

from __future__ import annotations

from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import Planted

LONG, SHORT = Planted("long", "cust-123456789"), Planted("short", "123456789")


def test_a_value_within_another_is_seen_too() -> None:
    found = Matcher([LONG, SHORT]).matches(b"id=cust-123456789;")
    assert {(one.planted.label, one.start, one.end) for one in found} == {("long", 3, 17), ("short", 8, 17)}


def test_the_plain_spelling_gives_its_name() -> None:
    assert {one.spelling for one in Matcher([SHORT]).matches(b"123456789")} == {"plain"}


def test_a_place_never_shows_a_value() -> None:
    matcher = Matcher([LONG, SHORT])
    assert matcher.masked("receipt:cust-123456789:7 and 123456789") == "receipt:‹long›:7 and ‹short›"
    assert matcher.masked("file \udcff of müller") == "file \\xff of müller"
