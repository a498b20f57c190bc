"""Where the books differ, and which differences are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from weir_tenant_admin.domain.ledger import SETTLED_AFTER, Done, Minute, Place, balance

MINUTE = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
EXPECTED = ("a", "b")


def judged(
    fates: dict[str, int],
    consumers: dict[str, Done],
    *,
    received: int | None = None,
    young: bool = False,
    unanswered_before: int = 0,
) -> Minute:
    now = MINUTE + (timedelta(seconds=30) if young else SETTLED_AFTER)
    total = sum(fates.values()) if received is None else received
    return balance(MINUTE, total, fates, consumers, expected=EXPECTED, now=now, unanswered_before=unanswered_before)


def found(minute: Minute) -> list[tuple[Place, int, str]]:
    return [(one.place, one.events, one.consumer) for one in minute.differences]


def test_books_that_balance_say_so() -> None:
    minute = judged({"accepted": 10, "duplicate": 2, "invalid": 1}, {"a": Done(10, 3), "b": Done(9, 0, 1)})
    assert (found(minute), minute.balanced) == ([], True)


def test_an_event_without_a_fate_is_told_at_the_door() -> None:
    minute = judged({"accepted": 10}, {"a": Done(10), "b": Done(10)}, received=11)
    assert (found(minute), minute.balanced) == ([(Place.DOOR, -1, "")], False)


@pytest.mark.parametrize(("young", "place"), [(True, Place.BEHIND), (False, Place.MISSING)])
def test_what_a_consumer_has_not_done_is_on_its_way_at_first_and_missing_later(young: bool, place: Place) -> None:
    minute = judged({"accepted": 10}, {"a": Done(10), "b": Done(7)}, young=young)
    assert (found(minute), minute.balanced) == ([(place, -3, "b")], young)


def test_a_consumer_that_did_nothing_at_all_is_missing_too() -> None:
    minute = judged({"accepted": 10}, {"a": Done(10)})
    assert found(minute) == [(Place.MISSING, -10, "b")]


def test_what_all_did_but_nobody_was_answered_for_is_harmless() -> None:
    minute = judged({"accepted": 10}, {"a": Done(12), "b": Done(12)})
    assert (found(minute), minute.balanced) == ([(Place.UNANSWERED, 2, "")], True)


def test_what_one_did_more_than_the_other_took_effect_twice() -> None:
    minute = judged({"accepted": 10}, {"a": Done(10), "b": Done(13)})
    assert (found(minute), minute.balanced) == ([(Place.SURPLUS, 3, "b")], False)
    minute = judged({"accepted": 10}, {"a": Done(12), "b": Done(13)})
    assert (found(minute), minute.balanced) == ([(Place.UNANSWERED, 2, ""), (Place.SURPLUS, 1, "b")], False)


def test_while_one_is_short_the_others_surplus_is_not_judged_but_the_minute_is() -> None:
    minute = judged({"accepted": 10}, {"a": Done(12), "b": Done(9)})
    assert (found(minute), minute.balanced) == ([(Place.UNANSWERED, 2, "a"), (Place.MISSING, -1, "b")], False)


@pytest.mark.parametrize("young", [True, False])
def test_what_was_sent_again_a_minute_later_is_harmless(young: bool) -> None:
    """Two of ten were on the log since the minute before, where they show as unanswered; each consumer dropped them here."""
    minute = judged({"accepted": 10}, {"a": Done(8, 2), "b": Done(7, 3, 1)}, young=young, unanswered_before=2)
    assert (found(minute), minute.balanced) == ([(Place.REPEATED, -2, "")], True)
    assert minute.repeated == 2


def test_a_repeat_explains_no_more_than_itself() -> None:
    minute = judged({"accepted": 10}, {"a": Done(8, 2), "b": Done(7, 2)}, unanswered_before=9)
    assert (found(minute), minute.balanced) == ([(Place.REPEATED, -2, ""), (Place.MISSING, -1, "b")], False)
    minute = judged({"accepted": 10}, {"a": Done(8, 2), "b": Done(8)}, unanswered_before=9)
    assert (found(minute), minute.balanced) == ([(Place.MISSING, -2, "a"), (Place.MISSING, -2, "b")], False)


@pytest.mark.parametrize(("young", "place"), [(True, Place.BEHIND), (False, Place.MISSING)])
def test_what_each_consumer_dropped_as_a_repeat_of_nothing_is_lost(young: bool, place: Place) -> None:
    """Three were dropped, and one at most can be the repeat of an event that was not answered for: two new ones are gone."""
    minute = judged({"accepted": 10}, {"a": Done(7, 3), "b": Done(7, 3)}, young=young, unanswered_before=1)
    assert found(minute) == [(Place.REPEATED, -1, ""), (place, -2, "a"), (place, -2, "b")]
    assert minute.balanced is young


def test_repeats_within_their_minute_are_no_difference() -> None:
    minute = judged({"accepted": 10}, {"a": Done(10, 4), "b": Done(10, 4)})
    assert (found(minute), minute.balanced) == ([], True)
