"""What the benches count as a difference of the books."""

from __future__ import annotations

from typing import Any

import pytest
from weir_bench.mesh_books import greatest_lag, imbalance, lost
from weir_common.kafka.topics import EVENTS


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


def test_books_in_which_nobody_did_anything_have_lost_all() -> None:
    assert lost({"shop": book()}, {"shop": 10}) == 10


def test_the_lag_is_that_of_the_slowest_partition_of_the_events() -> None:
    name = "weir_consumer_time_lag_seconds"
    page = (
        f"# TYPE {name} gauge\n"
        f'{name}{{messaging_destination_name="{EVENTS}",messaging_destination_partition_id="0"}} 0.0\n'
        f'{name}{{messaging_destination_name="{EVENTS}",messaging_destination_partition_id="1"}} 1.25\n'
        f'{name}{{messaging_destination_name="weir.fraud.decisions.v1",messaging_destination_partition_id="0"}} 60.0\n'
    )
    assert greatest_lag("fraud", page) == 1.25


@pytest.mark.parametrize("suffix", ["_bucket", "_count"])
def test_a_page_without_the_lag_is_not_one_without_lag(suffix: str) -> None:
    page = f'weir_consumer_time_lag_seconds{suffix}{{messaging_destination_name="{EVENTS}"}} 116.0\n'
    with pytest.raises(LookupError, match="fraud tells no weir_consumer_time_lag_seconds"):
        greatest_lag("fraud", page)
