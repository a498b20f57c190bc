"""How a finding is written for others: times as RFC 3339, states and severities as words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from weir_anomaly.domain.finding import Finding
from weir_anomaly.domain.rule import Rule

_TIMES = ("window_start", "window_end", "first_event_at", "last_event_at", "opened_at", "closed_at")
_INTERNAL = ("quiet_at", "rest_until", "sequence", "traceparent")


def finding_document(finding: Finding) -> dict[str, Any]:
    """Everything that a person needs; the engine's own bookkeeping stays inside."""
    document: dict[str, Any] = msgspec.to_builtins(finding)
    for name in _TIMES:
        if document[name] is not None:
            document[name] = _instant(document[name])
    for change in document["history"]:
        change["at"] = _instant(change["at"])
    if finding.traceparent is not None:
        document["trace_id"] = finding.traceparent.split("-")[1]
    for name in _INTERNAL:
        del document[name]
    return document


def rule_document(rule: Rule) -> dict[str, Any]:
    """A rule, for people."""
    return {
        "name": rule.name,
        "version": rule.version,
        "family": rule.family,
        "title": rule.title,
        "decides": rule.decides,
        "looks_at": sorted(f"{kind}/{subtype}" for kind, subtype in rule.wakes),
        "entities": list(rule.entity_kinds),
        "closes_after_seconds": rule.quiet_seconds,
        "rests_for_seconds": rule.rest_seconds,
    }


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
