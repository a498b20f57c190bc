from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import RETIRED, explained
from weir_fraud.domain.decision import Decision, Source, decide
from weir_fraud.domain.model import ModelCard, Scored, Thresholds, explanation_fault, probability
from weir_fraud.domain.outcome import Outcome, outcome_of
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY

THRESHOLDS = Thresholds(review=0.1, decline=0.5)


def decision(catalogue: Catalogue, payment: Payment, shares: dict[str, float]) -> Decision:
    names = catalogue.names()
    contributions = tuple(shares.get(name, 0.0) for name in names)
    margin = -2.0 + math.fsum(contributions)
    card = ModelCard(
        version="m1",
        features=names,
        thresholds=THRESHOLDS,
        files={},
        features_fingerprint="",
        key="",
        training={},
        metrics={},
    )
    return decide(
        payment,
        [0.0] * len(names),
        Scored(probability(margin), margin, -2.0, contributions),
        card=card,
        catalogue=catalogue,
        decided_at=datetime(2026, 3, 4, tzinfo=UTC),
        latency=timedelta(milliseconds=3),
        source=Source.HTTP,
        policy=WITHOUT_POLICY,
    )


@pytest.mark.parametrize(
    ("score", "outcome"),
    [(0, "approve"), (0.0999, "approve"), (0.1, "review"), (0.4999, "review"), (0.5, "decline"), (1, "decline")],
)
def test_a_score_at_a_threshold_is_over_it(score: float, outcome: str) -> None:
    assert outcome_of(score, THRESHOLDS) == Outcome(outcome)


def test_reasons_sum_their_features_and_the_strongest_comes_first(
    catalogue: Catalogue, make_payment: Callable[..., Payment]
) -> None:
    made = decision(
        catalogue,
        make_payment(),
        {
            "user_payment_count_1m": 0.5,
            "user_payment_count_1h": 0.4,
            "account_age_days": 0.7,
            "amount": -0.9,
            "hour_of_day": 0.04,
        },
    )
    assert made.reason_codes == ("USER_VELOCITY", "NEW_ACCOUNT")
    reasons = made.reasons
    assert reasons[0].contribution == pytest.approx(0.9)
    assert reasons[-1].reason.code == "AMOUNT"
    assert made.base + math.fsum(reason.contribution for reason in reasons) == pytest.approx(made.margin, abs=1e-12)


def test_a_retired_feature_still_shows_its_share(catalogue: Catalogue) -> None:
    (contribution,) = explained(catalogue, ["moon_phase"], [0.5], [0.1])
    assert contribution.reason is RETIRED


EXACT = Scored(score=probability(-1.0), margin=-1.0, base=-3.0, contributions=(1.5, 0.5))


@pytest.mark.parametrize(
    "wrong",
    [
        replace(EXACT, contributions=(1.5, 0.50001)),
        replace(EXACT, margin=math.nan),
        replace(EXACT, contributions=(math.nan, 0.5)),
        replace(EXACT, score=probability(-1.0) + 1e-5),
        replace(EXACT, score=math.nan),
    ],
)
def test_an_explanation_that_does_not_add_up_is_noticed(wrong: Scored) -> None:
    assert explanation_fault(EXACT) is None
    assert explanation_fault(replace(EXACT, contributions=(1.5, 0.5 + 1e-9))) is None
    assert explanation_fault(wrong) is not None


def test_the_logistic_function_does_not_overflow() -> None:
    assert probability(-1_000) == 0
    assert probability(1_000) == 1
    assert probability(0) == 0.5
