"""What the bench of decisions sends and how it judges answers."""

from __future__ import annotations

import math

import pytest
from weir.fraud.v1 import fraud_pb2
from weir_bench.fraud.driver import _adds_up, quantiles
from weir_bench.fraud.payments import payments
from weir_common.events import decode_event
from weir_common.ids import TenantId
from weir_fraud.domain.payment_event import payment_of
from weir_fraud.entrypoints.scoring_request import _payment_event


def test_payments_are_valid_events_of_many_people() -> None:
    made = payments("shop", seed=1)
    seen = []
    for _ in range(200):
        event_id, content = next(made)
        assert len(content) > 5_000  # as large as the sample event
        event = decode_event(content).event
        payment = payment_of(_payment_event.decode(content), TenantId("shop"), event.event_metadata.timestamp)
        assert payment.event_id == event_id
        assert payment.amount is not None
        seen.append(payment)
    for name in ("event_id", "user_id", "device", "payment_token", "address", "merchant"):
        assert len({getattr(payment, name) for payment in seen}) > 100, name


def test_the_same_seed_makes_the_same_payments() -> None:
    one, other = payments("shop", seed=1), payments("shop", seed=1)
    assert [next(one)[0] for _ in range(5)] == [next(other)[0] for _ in range(5)]
    assert next(one)[0] != next(payments("shop", seed=2))[0]


@pytest.mark.parametrize(
    ("parts", "margin", "whole"), [([0.5, -0.25], 1.25, True), ([0.5], 1.25, False), ([], 1.0, False)]
)
def test_an_explanation_must_be_there_and_add_up(parts: list[float], margin: float, whole: bool) -> None:
    decision = fraud_pb2.Decision(
        base_value=1.0, margin=margin, contributions=[fraud_pb2.Contribution(contribution=part) for part in parts]
    )
    assert _adds_up(decision) is whole


def test_quantiles() -> None:
    p50, p99, p999 = quantiles([number / 1_000 for number in range(1_001)])
    assert (round(p50, 3), round(p99, 3), round(p999, 4)) == (0.5, 0.99, 0.999)
    assert all(math.isnan(one) for one in quantiles([]))
