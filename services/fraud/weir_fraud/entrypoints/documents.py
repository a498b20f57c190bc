"""Decisions as JSON, and the examples of the API's documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from weir_fraud.domain.counterfactual import Flip
from weir_fraud.domain.decision import Decision

EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "event": {
        "schema_version": "2.1",
        "tenant_id": "merchant_12345",
        "event_metadata": {
            "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
            "timestamp": "2026-11-25T10:30:00.123456Z",
            "source_system": "web_app",
        },
        "event_data": {
            "event_type": "transaction",
            "event_subtype": "purchase",
            "user_context": {
                "user_id": "hashed_user_id",
                "session_data": {
                    "session_attributes": {
                        "device_fingerprint": "hash_string",
                        "geolocation": {"country": "US", "coordinates": {"lat": 40.7128, "lon": -74.006}},
                    }
                },
                "user_profile": {"registration_date": "2025-01-15T00:00:00Z"},
            },
            "business_context": {
                "transaction_context": {
                    "products": [{"product_id": "sku_789012", "pricing": {"sale_price": 899.99, "currency": "USD"}}],
                    "cart_context": {
                        "cart_id": "cart_uuid",
                        "cart_value": {"final_total": 908.97},
                        "payment_context": {
                            "payment_methods": [
                                {
                                    "method_type": "credit_card",
                                    "tokenized_identifier": "token_hash_123",
                                    "billing_address": {"country": "US"},
                                }
                            ],
                            "shipping_context": {"shipping_address": {"country": "US"}},
                        },
                    },
                }
            },
        },
    }
}

DECISION_EXAMPLE: Final[dict[str, Any]] = {
    "tenant_id": "merchant_12345",
    "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
    "transaction_id": "cart_uuid",
    "outcome": "review",
    "score": 0.2109,
    "explanation": "complete",
    "reason_codes": ["AMOUNT_ABOVE_HISTORY", "NEW_DEVICE"],
    "reasons": [
        {
            "code": "AMOUNT_ABOVE_HISTORY",
            "text": "The amount against what this user pays otherwise",
            "shopper_text": "We could not confirm this order. Please contact the shop if you need help.",
            "contribution": 2.41,
        },
        {
            "code": "NEW_DEVICE",
            "text": "Whether this user paid from this device before",
            "shopper_text": "We could not confirm this payment. Please contact the shop if you need help.",
            "contribution": 1.02,
        },
        {
            "code": "USER_VELOCITY",
            "text": "How often this user pays",
            "shopper_text": "We could not confirm this payment. Please contact the shop if you need help.",
            "contribution": -0.31,
        },
    ],
    "margin": -1.319,
    "base_value": -4.439,
    "contributions": [
        {
            "feature": "amount_to_user_mean_30d",
            "value": 7.9,
            "contribution": 2.41,
            "reason_code": "AMOUNT_ABOVE_HISTORY",
        },
        {"feature": "first_payment_from_device", "value": 1.0, "contribution": 1.02, "reason_code": "NEW_DEVICE"},
        {"feature": "user_payment_count_1h", "value": 1.0, "contribution": -0.31, "reason_code": "USER_VELOCITY"},
    ],
    "model_version": "fraud-0123456789ab",
    "thresholds": {"review": 0.13, "decline": 0.4},
    "model_outcome": "review",
    "policy_version": 3,
    "policy_rule": None,
    "policy_errors": [],
    "degraded": [],
    "declines_halted": False,
    "event_timestamp": "2026-11-25T10:30:00.123456Z",
    "decided_at": "2026-11-25T10:30:00.131000Z",
    "latency_seconds": 0.0031,
}

MAX_CHANGES: Final = 5

COUNTERFACTUAL_EXAMPLE: Final[list[dict[str, Any]]] = [
    {
        "feature": "amount_to_user_mean_30d",
        "from": 7.9,
        "to": 4.0,
        "thresholds_crossed": 3,
        "outcome_before": "review",
        "outcome_after": "approve",
        "score_after": 0.0871,
    }
]


def counterfactual_document(flips: Sequence[Flip]) -> list[dict[str, Any]]:
    """The smallest changes; outcomes are by the thresholds alone."""
    return [
        {
            "feature": flip.change.feature,
            "from": flip.change.before,
            "to": flip.change.after,
            "thresholds_crossed": flip.change.crossed,
            "outcome_before": flip.outcome_before.value,
            "outcome_after": flip.outcome_after.value,
            "score_after": flip.score_after,
        }
        for flip in flips[:MAX_CHANGES]
    ]


def explanation_of(is_explained: bool) -> str:
    """`deferred`: the reasons are not known yet, which is another thing than that there are none."""
    return "complete" if is_explained else "deferred"


def decision_document(decision: Decision) -> dict[str, Any]:
    """`base_value` and all contributions add up to `margin`, and so do `base_value` and all reasons.

    While the explanation is deferred codes, reasons and each feature's contribution are null.
    """
    return {
        "tenant_id": decision.tenant_id,
        "event_id": decision.event_id,
        "transaction_id": decision.transaction_id,
        "outcome": decision.outcome.value,
        "score": decision.score,
        "explanation": explanation_of(decision.is_explained),
        "reason_codes": decision.reason_codes if decision.is_explained else None,
        "reasons": None
        if not decision.is_explained
        else [
            {
                "code": reason.reason.code,
                "text": reason.reason.text,
                "shopper_text": reason.reason.shopper_text,
                "contribution": reason.contribution,
            }
            for reason in decision.reasons
        ],
        "margin": decision.margin,
        "base_value": decision.base,
        "contributions": [
            {
                "feature": contribution.feature,
                "value": None if math.isnan(contribution.value) else contribution.value,
                "contribution": contribution.contribution if decision.is_explained else None,
                "reason_code": contribution.reason.code,
            }
            for contribution in decision.contributions
        ],
        "model_version": decision.model_version,
        "thresholds": decision.thresholds,
        "model_outcome": decision.model_outcome.value,
        "policy_version": decision.policy_version,
        "policy_rule": decision.policy_rule,
        "policy_errors": decision.policy_errors,
        "degraded": decision.degraded,
        "declines_halted": decision.declines_halted,
        "event_timestamp": decision.event_timestamp,
        "decided_at": decision.decided_at,
        "latency_seconds": decision.latency.total_seconds(),
    }
