"""Policies and dry runs as JSON, and the examples of the API's documentation."""

from __future__ import annotations

from typing import Any, Final

from weir_common.ids import TenantId

from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import Draft, EntityKind, Entry, Policy, PolicyVersion
from weir_fraud.domain.policy_trial import PolicyTrial, not_evaluated
from weir_fraud.try_policy import Tried

POLICY_EXAMPLE: Final[dict[str, Any]] = {
    "thresholds": {"review": 0.1, "decline": 0.5},
    "allow": [{"kind": "user", "value": "customer-77", "reason": "Tests the checkout, case 4711"}],
    "deny": [
        {
            "kind": "payment_token",
            "value": "token_hash_123",
            "reason": "Chargeback, case 4712",
            "expires_at": "2026-12-24T00:00:00Z",
        }
    ],
    "rules": [
        {
            "name": "many-tries-of-a-new-account",
            "expression": "has(features.account_age_days) && features.account_age_days < 1.0 && features.user_payment_count_1h > 3.0",
            "action": "decline",
            "reason": "Card testing",
        },
        {
            "name": "large-and-abroad",
            "expression": "amount > 500.0 && currency == 'EUR' && billing_country != shipping_country",
            "action": "review",
            "reason": "Agreed with the shop in March",
        },
    ],
    "decline_corridor": {"window_minutes": 60, "least_decisions": 200, "ceiling": 0.15, "floor": 0.001},
}


def policy_document(policy: Policy) -> dict[str, Any]:
    """As it may be written again: a person's values stay protected."""
    return {
        "thresholds": policy.thresholds,
        "allow": [_entry(entry) for entry in policy.allow],
        "deny": [_entry(entry) for entry in policy.deny],
        "rules": policy.rules,
        "decline_corridor": policy.decline_corridor,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": entry.kind.value, "reason": entry.reason}
    if entry.kind is EntityKind.COUNTRY:
        (document["value"],) = entry.protected
    else:
        document["protected"] = entry.protected
    if entry.expires_at is not None:
        document["expires_at"] = entry.expires_at
    if entry.recognised_until is not None:
        document["recognised_until"] = entry.recognised_until
    return document


def draft_document(tenant_id: TenantId, draft: Draft) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "revision": draft.revision,
        "editors": draft.editors,
        "edited_at": draft.edited_at,
        "policy": policy_document(draft.policy),
    }


def version_summary(version: PolicyVersion) -> dict[str, Any]:
    """Without the document."""
    return {
        "version": version.version,
        "state": version.state.value,
        "makers": version.makers,
        "note": version.note,
        "submitted_at": version.submitted_at,
        "restores": version.restores,
        "decided_by": version.decided_by,
        "decided_at": version.decided_at,
        "decision_note": version.decision_note,
    }


def version_document(tenant_id: TenantId, version: PolicyVersion) -> dict[str, Any]:
    return {"tenant_id": tenant_id, **version_summary(version), "policy": policy_document(version.policy)}


def trial_document(tenant_id: TenantId, tried: Tried, policy: Policy) -> dict[str, Any]:
    """`before` is what was decided then, `after` what the policy would have made of it."""
    trial = tried.trial
    return {
        "tenant_id": tenant_id,
        "since": tried.since,
        "until": tried.until,
        "oldest": trial.oldest,
        "complete": tried.complete,
        "evaluated": trial.evaluated,
        "before": _outcomes(trial, tried, before=True),
        "after": _outcomes(trial, tried, before=False),
        "changes": [
            {"before": before.value, "after": after.value, "decisions": count}
            for (before, after), count in trial.changes.most_common()
        ],
        "rules": [
            {
                "policy_rule": name,
                "matched": trial.matched[name],
                "changed": trial.changed_by[name],
                "errors": trial.errors[name],
            }
            for name in dict.fromkeys(
                [*(rule.name for rule in policy.rules if rule.enabled), *sorted(trial.matched), *sorted(trial.errors)]
            )
        ],
        "examples": [
            {
                "event_id": changed.event_id,
                "before": changed.before.value,
                "after": changed.after.value,
                "policy_rule": changed.policy_rule,
            }
            for changed in trial.examples
        ],
        "lacking": {"entry_kinds": not_evaluated(policy), "decisions_without_countries": trial.without_facts},
    }


def _outcomes(trial: PolicyTrial, tried: Tried, *, before: bool) -> dict[str, Any]:
    counts = trial.before if before else trial.after
    return {**{outcome.value: counts[outcome] for outcome in Outcome}, **trial.rates(counts, tried.span)}
