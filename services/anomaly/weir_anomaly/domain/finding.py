"""A finding: one incident of one rule on one entity, from opening to close. Pure transitions, each giving a new value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from weir_common.ids import EventId, TenantId

from weir_anomaly.domain.entity import Entity
from weir_anomaly.domain.event import Event
from weir_anomaly.domain.rule import Hit, Rule
from weir_anomaly.domain.severity import Severity, lowered, worst
from weir_anomaly.domain.storable import shown_text

FindingState = Literal["open", "closed"]
ChangeKind = Literal["opened", "severity_changed", "closed", "reopened"]

MAX_EVENT_IDS: Final = 20
MAX_SUBJECTS: Final = 20
MAX_RELATED: Final = 20
MAX_HISTORY: Final = 50
_FIRST_IDS: Final = 10
"""The first ten ids are kept, since they show how it began; the other ten are the latest."""


class StateChange(msgspec.Struct, frozen=True):
    """A line of the history. ``at`` is event time."""

    at: float
    change: ChangeKind
    severity: Severity
    because: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """All times are event time in seconds since 1970, except ``opened_at`` and ``closed_at``, which are processing time.

    ``event_count`` counts the events that hit; ``event_ids`` names the first ten and the latest ten of them. ``sequence``
    rises by one with each published change.
    """

    tenant_id: TenantId
    finding_id: UUID
    rule: str
    rule_version: int
    family: str
    entity: Entity
    severity: Severity
    state: FindingState
    layer: str
    window_start: float
    window_end: float
    observed: float
    expected: float
    spread: float | None
    unit: str
    score: float
    threshold: float
    cleared_by: str
    evidence: dict[str, Any]
    suppressors: tuple[str, ...]
    event_ids: tuple[EventId, ...]
    event_count: int
    subjects: tuple[str, ...]
    related: tuple[UUID, ...]
    history: tuple[StateChange, ...]
    first_event_at: float
    last_event_at: float
    quiet_at: float
    rest_until: float
    opened_at: float
    closed_at: float | None
    sequence: int
    traceparent: str | None


class FindingChanged(msgspec.Struct, frozen=True):
    """What is published: the change and the finding after it."""

    change: ChangeKind
    finding: Finding


def suppressors_of(event: Event) -> tuple[str, ...]:
    """Circumstances that make an anomaly less surprising, as far as the event itself tells them."""
    return ("import",) if event.source == "batch_import" else ()


def open_finding(
    hit: Hit,
    rule: Rule,
    event: Event,
    *,
    finding_id: UUID,
    opened_at: float,
    related: Sequence[Finding],
    traceparent: str | None,
) -> Finding:
    """The finding that this hit opens."""
    suppressors = (*hit.suppressors, *suppressors_of(event))
    severity = lowered(_raised(hit.severity, rule, related), suppressors)
    return Finding(
        tenant_id=event.tenant_id,
        finding_id=finding_id,
        rule=rule.name,
        rule_version=rule.version,
        family=rule.family,
        entity=hit.entity,
        severity=severity,
        state="open",
        layer=hit.layer,
        window_start=hit.window_start,
        window_end=hit.window_end,
        observed=hit.observed,
        expected=hit.expected,
        spread=hit.spread,
        unit=hit.unit,
        score=hit.score,
        threshold=hit.threshold,
        cleared_by=hit.cleared_by,
        evidence=dict(hit.evidence),
        suppressors=suppressors,
        event_ids=(event.event_id,),
        event_count=1,
        subjects=_subjects((), event),
        related=tuple(other.finding_id for other in related)[:MAX_RELATED],
        history=(StateChange(event.at, "opened", severity, hit.cleared_by),),
        first_event_at=event.at,
        last_event_at=event.at,
        quiet_at=event.at + rule.quiet_seconds,
        rest_until=event.at + rule.quiet_seconds + rule.rest_seconds,
        opened_at=opened_at,
        closed_at=None,
        sequence=1,
        traceparent=traceparent,
    )


def absorb(
    finding: Finding, hit: Hit, rule: Rule, event: Event, related: Sequence[Finding]
) -> tuple[Finding, ChangeKind | None]:
    """The open finding with one more event; a change is published only when it got worse."""
    suppressors = tuple(dict.fromkeys((*finding.suppressors, *hit.suppressors, *suppressors_of(event))))
    severity = worst((finding.severity, lowered(_raised(hit.severity, rule, related), suppressors)))
    worse = severity is not finding.severity
    last_event_at = max(finding.last_event_at, event.at)
    latest = hit.score >= finding.score or event.at >= finding.last_event_at
    history = finding.history
    if worse:
        history = (*history, StateChange(event.at, "severity_changed", severity, hit.cleared_by))[-MAX_HISTORY:]
    grown = msgspec.structs.replace(
        finding,
        severity=severity,
        suppressors=suppressors,
        window_start=min(finding.window_start, hit.window_start),
        window_end=max(finding.window_end, hit.window_end),
        event_ids=_ids(finding.event_ids, event.event_id),
        event_count=finding.event_count + 1,
        subjects=_subjects(finding.subjects, event),
        related=_related(finding.related, related, finding.finding_id),
        first_event_at=min(finding.first_event_at, event.at),
        last_event_at=last_event_at,
        quiet_at=last_event_at + rule.quiet_seconds,
        rest_until=last_event_at + rule.quiet_seconds + rule.rest_seconds,
        history=history,
        sequence=finding.sequence + (1 if worse else 0),
    )
    if latest:
        # States are cumulative, so the latest hit tells the whole story better than the first one did.
        grown = msgspec.structs.replace(
            grown,
            layer=hit.layer,
            observed=hit.observed,
            expected=hit.expected,
            spread=hit.spread,
            unit=hit.unit,
            score=hit.score,
            threshold=hit.threshold,
            cleared_by=hit.cleared_by,
            evidence=dict(hit.evidence),
        )
    return grown, "severity_changed" if worse else None


def count_at_rest(finding: Finding, event: Event) -> Finding:
    """The closed finding with one more event in its rest period: counted, not reopened."""
    return msgspec.structs.replace(
        finding,
        event_ids=_ids(finding.event_ids, event.event_id),
        event_count=finding.event_count + 1,
        subjects=_subjects(finding.subjects, event),
    )


def reopen(finding: Finding, hit: Hit, rule: Rule, event: Event, related: Sequence[Finding]) -> Finding:
    """The closed finding, open again: something worse than it came within its rest period."""
    grown, _ = absorb(msgspec.structs.replace(finding, state="open", closed_at=None), hit, rule, event, related)
    change = StateChange(event.at, "reopened", grown.severity, hit.cleared_by)
    return msgspec.structs.replace(
        grown, history=(*finding.history, change)[-MAX_HISTORY:], sequence=finding.sequence + 1
    )


def close(finding: Finding, *, closed_at: float) -> Finding:
    """The finding, closed because it has been quiet."""
    quiet = (finding.quiet_at - finding.last_event_at) / 60
    change = StateChange(finding.quiet_at, "closed", finding.severity, f"quiet for {quiet:.0f} min of event time")
    return msgspec.structs.replace(
        finding,
        state="closed",
        closed_at=closed_at,
        history=(*finding.history, change)[-MAX_HISTORY:],
        sequence=finding.sequence + 1,
    )


def _raised(severity: Severity, rule: Rule, related: Sequence[Finding]) -> Severity:
    if any(other.rule in rule.raised_by for other in related):
        return worst((severity, Severity.HIGH))
    return severity


def _ids(known: tuple[EventId, ...], new: EventId) -> tuple[EventId, ...]:
    if len(known) < MAX_EVENT_IDS:
        return (*known, new)
    return (*known[:_FIRST_IDS], *known[_FIRST_IDS + 1 :], new)


def _subjects(known: tuple[str, ...], event: Event) -> tuple[str, ...]:
    found = known
    for subject in (event.user, event.anonymous):
        if subject and len(found) < MAX_SUBJECTS:
            shown = shown_text(subject, 1_024)
            if shown not in found:
                found = (*found, shown)
    return found


def _related(known: tuple[UUID, ...], related: Sequence[Finding], own: UUID) -> tuple[UUID, ...]:
    more = (other.finding_id for other in related if other.finding_id != own)
    return tuple(dict.fromkeys((*known, *more)))[:MAX_RELATED]
