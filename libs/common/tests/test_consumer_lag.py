"""How old the oldest record is that waits for a consumer."""

from __future__ import annotations

import pytest
from weir_common.kafka.consumer import _Partition
from weir_common.kafka.window import DuplicateWindow

MORNING, EVENING = 1_000_000, 200_000


@pytest.mark.parametrize(
    ("position", "last_applied", "at_end", "expected"),
    [
        (10, EVENING, EVENING, None),
        (9, EVENING, None, EVENING),
        (9, MORNING, EVENING, MORNING),
        # Nothing came all night: the record that waits now came after it, not after the last one of the evening.
        (9, EVENING, MORNING, MORNING),
        (9, None, MORNING, MORNING),
        (9, None, None, None),
    ],
)
def test_it_came_after_the_last_that_was_applied_and_after_the_end_was_reached(
    position: int, last_applied: int | None, at_end: int | None, expected: int | None
) -> None:
    partition = _Partition(1, position, DuplicateWindow(), 10, last_applied, at_end)
    assert partition.waits_since_ms() == expected


def test_that_nothing_waited_is_known_as_of_the_moment_at_which_the_log_was_asked() -> None:
    partition = _Partition(1, 10, DuplicateWindow(), 12, EVENING)
    partition.was_at_end(11, MORNING)
    partition.was_at_end(None, MORNING)
    partition.was_at_end(10, None)
    assert partition.waits_since_ms() == EVENING
    partition.was_at_end(10, MORNING)
    assert partition.waits_since_ms() == MORNING
    # An older answer, read later.
    partition.was_at_end(10, EVENING)
    assert partition.waits_since_ms() == MORNING
