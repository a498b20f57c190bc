"""By what a policy's effect is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from weir_fraud.decision_metrics import policy_effect, policy_part
from weir_fraud.domain.decision import Source
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment
from weir_fraud.score_payments import ScorePayments


@pytest.mark.parametrize(
    ("by_score", "outcome", "rule", "errors", "effect", "part"),
    [
        ("approve", "approve", None, (), "kept", "thresholds"),
        ("approve", "review", None, ("broken",), "raised", "error"),
        ("approve", "decline", "deny:device", (), "raised", "deny"),
        ("decline", "approve", "allow:user", (), "lowered", "allow"),
        ("review", "review", "large", (), "kept", "rule"),
        ("review", "approve", "known", ("broken",), "lowered", "rule"),
    ],
)
async def test_effect_and_part(
    score_payments: ScorePayments,
    make_payment: Callable[..., Payment],
    by_score: str,
    outcome: str,
    rule: str | None,
    errors: tuple[str, ...],
    effect: str,
    part: str,
) -> None:
    (made,) = await score_payments([make_payment()], Source.HTTP)
    decision = replace(
        made, model_outcome=Outcome(by_score), outcome=Outcome(outcome), policy_rule=rule, policy_errors=errors
    )
    assert (policy_effect(decision), policy_part(decision)) == (effect, part)
