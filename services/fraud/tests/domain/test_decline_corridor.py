from __future__ import annotations

import pytest
from weir_fraud.domain.decline_corridor import (
    Counted,
    DeclineCorridor,
    Position,
    after_halt,
    is_by_deny_list,
    position_of,
)
from weir_fraud.domain.outcome import Outcome

CORRIDOR = DeclineCorridor(window_minutes=60, least_decisions=10, ceiling=0.3, floor=0.1)


@pytest.mark.parametrize(
    ("decisions", "declines", "position"),
    [
        (0, 0, Position.TOO_FEW),
        (9, 9, Position.TOO_FEW),
        (10, 3, Position.INSIDE),
        (10, 4, Position.ABOVE),
        (10, 1, Position.INSIDE),
        (10, 0, Position.BELOW),
        (1_000_000, 300_000, Position.INSIDE),
        (1_000_000, 300_001, Position.ABOVE),
        (1_000_000, 100_000, Position.INSIDE),
        (1_000_000, 99_999, Position.BELOW),
    ],
)
def test_the_corridor_is_left_by_the_first_decision_beyond_a_bound(
    decisions: int, declines: int, position: Position
) -> None:
    assert position_of(CORRIDOR, Counted(decisions, declines)) is position


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_share_that_equals_any_written_bound_is_inside(percent: int) -> None:
    corridor = DeclineCorridor(window_minutes=1, least_decisions=1, ceiling=float(f"{percent / 100:.2f}"), floor=0)
    assert position_of(corridor, Counted(700, 7 * percent)) is Position.INSIDE


def test_a_halted_decline_is_a_review_and_never_an_approval() -> None:
    assert after_halt(Outcome.DECLINE, None, True) == (Outcome.REVIEW, True)
    assert after_halt(Outcome.DECLINE, "many-tries", True) == (Outcome.REVIEW, True)
    assert after_halt(Outcome.DECLINE, None, False) == (Outcome.DECLINE, False)
    for outcome in (Outcome.APPROVE, Outcome.REVIEW):
        assert after_halt(outcome, None, True) == (outcome, False)


def test_the_deny_list_stays_in_force() -> None:
    assert after_halt(Outcome.DECLINE, "deny:device", True) == (Outcome.DECLINE, False)
    assert is_by_deny_list("deny:user")
    assert not is_by_deny_list("allow:user")
    assert not is_by_deny_list("deny")
    assert not is_by_deny_list(None)
