"""A counterfactual really flips the outcome by the model, and no smaller change of its feature does."""

from __future__ import annotations

import asyncio
import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weir_common.problems import Conflict, Unavailable
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import explained
from weir_fraud.domain.counterfactual import Candidate, candidates, flips, in_32_bits
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import SEVERITY, Outcome, outcome_of
from weir_fraud.domain.payment import Payment
from weir_fraud.find_counterfactual import FindCounterfactual
from weir_fraud.score_payments import ScorePayments

Make = Callable[..., Payment]


@pytest.fixture
async def decided(score_payments: ScorePayments, make_payment: Make) -> Decision:
    (decision,) = await score_payments([make_payment()], Source.STREAM)
    return decision


def flipped(before: Outcome, after: Outcome) -> bool:
    if before is Outcome.APPROVE:
        return after is not Outcome.APPROVE
    return SEVERITY[after] < SEVERITY[before]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    wanted=st.sampled_from(list(Outcome)),
    wholes=st.booleans(),
)
async def test_each_change_flips_and_no_smaller_one_does(
    model: OnnxModel,
    catalogue: Catalogue,
    model_dir: Path,
    decided: Decision,
    seed: int,
    wanted: Outcome,
    wholes: bool,
) -> None:
    random = Random(seed).random
    names = model.card.features
    vector = [math.nan if random() < 0.2 else -3 * math.log(1 - random()) for _ in names]
    if wholes:
        vector = [value if math.isnan(value) else float(round(value)) for value in vector]
    (scored,) = model.score([vector])
    thresholds = {
        Outcome.APPROVE: Thresholds(review=scored.score + 1e-4, decline=0.999),
        Outcome.REVIEW: Thresholds(review=scored.score - 1e-4, decline=scored.score + 1e-4),
        Outcome.DECLINE: Thresholds(review=scored.score - 2e-4, decline=scored.score - 1e-4),
    }[wanted]
    decision = replace(
        decided,
        score=scored.score,
        thresholds=thresholds,
        contributions=explained(catalogue, names, vector, scored.contributions),
    )
    found = await FindCounterfactual(ModelFolder(model_dir, catalogue, model))(decision)
    assert len({flip.change.feature for flip in found}) == len(found)
    assert [flip.change.crossed for flip in found] == sorted(flip.change.crossed for flip in found)

    def outcome_with(place: int, value: float) -> Outcome:
        row = list(vector)
        row[place] = value
        return outcome_of(model.score([row])[0].score, thresholds)

    for flip in found[:4]:
        change = flip.change
        assert not math.isnan(change.before)
        assert change.before == vector[change.place]
        assert flip.outcome_before is wanted
        # By the model as it decides, with its explanation, not by the search's own short way.
        assert outcome_with(change.place, change.after) is flip.outcome_after
        assert flipped(wanted, flip.outcome_after)
        # Any values whatever that are fewer thresholds away: the model says of none of them what would be a flip.
        splits = model.splits()[change.feature]
        own = bisect_left(splits, in_32_bits(change.before))
        for _ in range(6):
            value = change.before + (random() * 2 - 1) * 2 * abs(change.after - change.before)
            if abs(bisect_left(splits, in_32_bits(value)) - own) < change.crossed:
                assert not flipped(wanted, outcome_with(change.place, value))
    # And of a feature that is not told no value flips.
    silent = [place for place, name in enumerate(names) if name not in {flip.change.feature for flip in found}]
    for place in silent[:: len(silent) // 8 + 1]:
        if not math.isnan(vector[place]):
            assert not flipped(wanted, outcome_with(place, -4 * math.log(1 - random())))


SPLITS = {"a": (0.5, 2.25, 2.75, 10.0)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, [(0.0, 1), (in_32_bits(2.25000024), 1), (3.0, 2), (11.0, 3)]),
        (2.5, [(2.0, 1), (3.0, 1), (0.0, 2), (11.0, 2)]),
        # At a threshold it is below it.
        (10.0, [(2.5, 1), (11.0, 1), (2.0, 2), (0.0, 3)]),
        (math.nan, []),
    ],
)
def test_one_value_an_interval_the_nearest_whole_one_if_there_is_any(
    value: float, expected: Sequence[tuple[float, int]]
) -> None:
    found = [(one.after, one.crossed) for one in candidates(["a"], [value], SPLITS)]
    # (2.25, 2.75] has no whole number: from below its edge is just above 2.25, from above it is 2.75 itself.
    assert sorted(found) == sorted((2.75, 1) if (value, after) == (10.0, 2.5) else (after, n) for after, n in expected)


@pytest.mark.parametrize("edge", [0.3, 0.1, 1 / 3, -0.3, 1e-35, -1e-35, 123456.7, 5e7 + 0.1])
def test_the_edge_of_an_interval_is_in_it_as_the_model_sees_it(edge: float) -> None:
    """Thresholds have 64 bits, values 32: rounded, an edge may lie on its other side."""
    width = abs(edge) / 1_000
    splits = {"a": (edge - width, edge, edge + width)}
    for value, above, up_to in ((edge + 9e7, edge - width, edge), (edge - 9e7, edge, edge + width)):
        (found,) = [one.after for one in candidates(["a"], [value], splits) if one.crossed == 2]
        assert found == in_32_bits(found)
        assert above < found <= up_to


def test_the_smallest_of_each_feature_is_told_and_a_step_that_goes_too_far_only_where_there_is_no_other() -> None:
    thresholds = Thresholds(review=0.3, decline=0.7)
    tried = [
        Candidate(0, "a", 1, 2, 1),
        Candidate(1, "b", 1, 2, 1),
        Candidate(0, "a", 1, 3, 2),
        Candidate(1, "b", 1, 0, 3),
    ]
    told = [
        (flip.change.feature, flip.change.after, flip.outcome_after)
        for flip in flips(0.8, thresholds, tried, [0.75, 0.4, 0.1, 0.1])
    ]
    assert told == [("b", 2, Outcome.REVIEW), ("a", 3, Outcome.APPROVE)]
    assert [flip.outcome_after for flip in flips(0.1, thresholds, tried, [0.2, 0.9, 0.3, 0.1])] == [
        Outcome.DECLINE,
        Outcome.REVIEW,
    ]
    assert flips(0.5, thresholds, tried, [0.9, 0.8, 0.5, 0.3]) == []


async def test_a_model_that_is_not_kept_is_a_conflict_and_too_many_are_sent_away(
    model: OnnxModel, catalogue: Catalogue, model_dir: Path, decided: Decision
) -> None:
    find = FindCounterfactual(ModelFolder(model_dir, catalogue, model))
    with pytest.raises(Conflict, match="fraud-0123456789ab is not kept here"):
        await find(replace(decided, model_version="fraud-0123456789ab"))

    gate = threading.Event()

    class Slow:
        card = model.card

        def splits(self) -> dict[str, Sequence[float]]:
            gate.wait(10)
            return {}

    class Versions:
        async def get(self, version: str) -> Slow:
            return Slow()

    slow = FindCounterfactual(Versions(), wait_seconds=0.01)  # type: ignore[arg-type]
    first = asyncio.create_task(slow(decided))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await slow(decided)
    gate.set()
    assert await first == []
