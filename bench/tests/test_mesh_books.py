"""What the benches count as a difference of the books."""

from __future__ import annotations

from typing import Any

import pytest
from weir_bench.mesh_books import imbalance, lost


def book(*differences: tuple[str, int], **done: int) -> dict[str, Any]:
    return {
        "minutes": [{"differences": [{"place": place, "events": events}]} for place, events in differences],
        "consumers": {name: {"applied": events, "quarantined": 0} for name, events in done.items()},
    }


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([], 0),
        ([("behind", -5)], 0),
        ([("unanswered", 5)], 0),
        ([("missing", -3), ("surplus", 2), ("door", -1)], 6),
        ([("unanswered", 5), ("repeated", -3), ("repeated", -2)], 0),
        ([("unanswered", 2), ("repeated", -5)], 3),
        ([("unanswered", 5), ("missing", -4)], 4),
    ],
)
def test_what_is_harmless_does_not_count_and_a_repeat_only_if_it_was_unanswered(
    differences: list[tuple[str, int]], expected: int
) -> None:
    assert imbalance({"shop": book(*differences)}) == expected


def test_what_one_tenant_was_not_answered_for_explains_nothing_of_anothers() -> None:
    assert imbalance({"shop": book(("unanswered", 5)), "other": book(("repeated", -5))}) == 5


def test_what_a_consumer_did_too_much_does_not_make_up_for_what_another_lost() -> None:
    assert lost({"shop": book(fraud=9, anomaly=12)}, {"shop": 10}) == 1
