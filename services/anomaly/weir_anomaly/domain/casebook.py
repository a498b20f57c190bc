"""One incident, one finding: which hit opens, which joins, which is only counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from weir_anomaly.domain.engine import RuleHits, StateKey
from weir_anomaly.domain.entity import Entity
from weir_anomaly.domain.event import Event
from weir_anomaly.domain.finding import (
    ChangeKind,
    Finding,
    FindingChanged,
    absorb,
    close,
    count_at_rest,
    open_finding,
    reopen,
)
from weir_anomaly.domain.rule import Hit, Rule


class Casebook:
    """The findings that a batch of one tenant may touch: for each rule and entity the open one, else the latest closed.

    ``now`` is processing time, ``new_id`` makes finding ids, ``traceparent_of`` gives the trace that an event belongs to.
    After ``judge`` and ``close_quiet``, ``touched`` holds what to store and ``changes`` what to publish, in order.
    """

    def __init__(
        self,
        findings: Iterable[Finding],
        *,
        now: float,
        new_id: Callable[[], UUID],
        traceparent_of: Callable[[Event], str | None],
    ) -> None:
        self._findings: dict[StateKey, Finding] = {}
        for finding in findings:
            key = StateKey(finding.rule, finding.entity)
            known = self._findings.get(key)
            if known is None or (finding.state, finding.opened_at) > (known.state, known.opened_at):
                self._findings[key] = finding
        self._now = now
        self._new_id = new_id
        self._traceparent_of = traceparent_of
        self.touched: dict[UUID, Finding] = {}
        self.changes: list[FindingChanged] = []

    def judge(self, found: RuleHits) -> None:
        """All hits of one rule on one event concern one incident, so they touch one finding."""
        rule, event = found.rule, found.event
        for hit in found.hits:
            self._close_if_quiet(StateKey(rule.name, hit.entity), event.at)
        chosen = self._choose(rule, found.hits, event)
        if chosen is None:
            if not found.late:
                self._open(rule, found.hits[0], event)
            return
        hit, finding = chosen
        related = self._open_on([each.entity for each in found.hits], but=finding.finding_id)
        if finding.state == "open":
            grown, change = absorb(finding, hit, rule, event, related)
            self._put(grown, change)
        elif hit.severity.rank > finding.severity.rank and not found.late:
            self._put(reopen(finding, hit, rule, event, related), "reopened")
        else:
            self._put(count_at_rest(finding, event), None)

    def close_quiet(self, clock: float) -> None:
        """Close what has been quiet for its rule's time, as of event time ``clock``."""
        for key in list(self._findings):
            self._close_if_quiet(key, clock)

    def _choose(self, rule: Rule, hits: Sequence[Hit], event: Event) -> tuple[Hit, Finding] | None:
        resting: tuple[Hit, Finding] | None = None
        for hit in hits:
            finding = self._findings.get(StateKey(rule.name, hit.entity))
            if finding is None:
                continue
            if finding.state == "open":
                return hit, finding
            if event.at <= finding.rest_until and resting is None:
                resting = hit, finding
        return resting

    def _open(self, rule: Rule, hit: Hit, event: Event) -> None:
        finding = open_finding(
            hit,
            rule,
            event,
            finding_id=self._new_id(),
            opened_at=self._now,
            related=self._open_on([hit.entity]),
            traceparent=self._traceparent_of(event),
        )
        self._put(finding, "opened")

    def _open_on(self, entities: Sequence[Entity], but: UUID | None = None) -> list[Finding]:
        return [
            finding
            for finding in self._findings.values()
            if finding.state == "open" and finding.entity in entities and finding.finding_id != but
        ]

    def _close_if_quiet(self, key: StateKey, clock: float) -> None:
        finding = self._findings.get(key)
        if finding is not None and finding.state == "open" and finding.quiet_at < clock:
            self._put(close(finding, closed_at=self._now), "closed")

    def _put(self, finding: Finding, change: ChangeKind | None) -> None:
        self._findings[StateKey(finding.rule, finding.entity)] = finding
        self.touched[finding.finding_id] = finding
        if change is not None:
            self.changes.append(FindingChanged(change, finding))
