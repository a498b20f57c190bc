"""What rules see of a payment, when it is decided and when a stored decision is looked at again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.domain.policy_judgement import Facts

TEXTS: Final = ("currency", "country", "billing_country", "shipping_country", "kind")
"""Texts; `""` where the payment does not say."""


def facts_of(
    payment: Payment, score: float, names: Sequence[str], vector: Sequence[float], degraded: Sequence[Degraded] = ()
) -> Facts:
    """Of a payment that is being decided."""
    return _facts(
        score=score,
        amount=payment.amount,
        currency=payment.currency,
        kind=payment.kind,
        at=payment.at,
        features=dict(zip(names, vector, strict=True)),
        degraded=degraded,
    ) | {
        "country": payment.country or "",
        "billing_country": payment.billing_country or "",
        "shipping_country": payment.shipping_country or "",
        "declined": payment.declined,
    }


def facts_without_place(
    *,
    score: float,
    amount: Decimal | None,
    currency: str | None,
    kind: PaymentKind,
    at: datetime,
    features: Mapping[str, float],
    degraded: Sequence[Degraded],
) -> dict[str, object]:
    """Of a decision that was stored before its countries and its payment's fate were: these are absent, not empty."""
    return _facts(score=score, amount=amount, currency=currency, kind=kind, at=at, features=features, degraded=degraded)


def _facts(
    *,
    score: float,
    amount: Decimal | None,
    currency: str | None,
    kind: PaymentKind,
    at: datetime,
    features: Mapping[str, float],
    degraded: Sequence[Degraded],
) -> dict[str, object]:
    facts: dict[str, object] = {
        "score": score,
        "currency": currency or "",
        "kind": kind.value,
        "hour": at.astimezone(UTC).hour,
        "degraded": [one.value for one in degraded],
        "features": {name: value for name, value in features.items() if not math.isnan(value)},
    }
    if amount is not None:
        facts["amount"] = float(amount)
    return facts
