"""What the judge of the decisions calls lost, and what different."""

from __future__ import annotations

import pytest
from weir_bench.chaos.decisions.callers import Answers, Told
from weir_bench.chaos.decisions.judgement import Made, Verdict, compare

WHOLE: Made = (0.1, "approve", ())
DEGRADED: Made = (0.1, "review", ("features_unavailable",))


def told(*made: Made) -> list[Told]:
    return [Told(10.0 + place, 0.5, *one) for place, one in enumerate(made)]


@pytest.mark.parametrize(
    ("stored", "announced", "answers", "lost", "different"),
    [
        (WHOLE, {WHOLE}, (), 0, 0),
        (DEGRADED, {DEGRADED}, (DEGRADED, DEGRADED), 0, 0),
        (None, {WHOLE}, (WHOLE,), 1, 0),
        (WHOLE, set(), (), 1, 0),
        (WHOLE, {WHOLE, DEGRADED}, (WHOLE,), 0, 1),
        (WHOLE, {DEGRADED}, (), 0, 1),
        (WHOLE, {WHOLE}, (WHOLE, DEGRADED), 0, 1),
        (WHOLE, {WHOLE}, ((0.1 + 1e-12, "approve", ()),), 0, 1),
    ],
)
def test_one_payment(
    stored: Made | None, announced: set[Made], answers: tuple[Made, ...], lost: int, different: int
) -> None:
    verdict = Verdict()
    compare("e", stored, announced, told(*answers), verdict)
    assert (verdict.lost, verdict.different, len(verdict.words)) == (lost, different, lost + different)


def test_the_first_whole_answer_is_of_a_call_that_began_afterwards() -> None:
    answers = Answers()
    assert answers.first_whole(0) is None
    answers.told["a"] = told(WHOLE, DEGRADED)
    answers.told["b"] = told(DEGRADED, DEGRADED, WHOLE)
    assert answers.first_whole(10.5) == 12.5 - 10.5
    assert answers.first_whole(13) is None
