"""Stages in order; what is not known is not claimed."""

from __future__ import annotations

import pytest
from weir_ingest.domain.fate import STAGES, FateState, fates_of


@pytest.mark.parametrize(
    ("next_offset", "state"),
    [(None, FateState.UNKNOWN), (6, FateState.DONE), (5, FateState.PENDING), (0, FateState.PENDING)],
)
def test_an_event_is_done_when_the_position_is_behind_it(next_offset: int | None, state: FateState) -> None:
    positions = {} if next_offset is None else {"analytics.books": next_offset}
    fates = {fate.stage: fate.state for fate in fates_of(5, positions)}
    assert fates == {"scored": "unknown", "checked": "unknown", "counted": state, "archived": "unknown"}


def test_stages_are_in_the_order_in_which_they_happen() -> None:
    assert [(fate.stage, fate.by) for fate in fates_of(0, {})] == list(STAGES)
