"""A payment that a person must look at: who has it, what was done with it, and how it ended.

What one analyst holds another does not get by accident: to take it over is to say which version one has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from weir_common.ids import EventId, TenantId
from weir_common.problems import Conflict

from weir_fraud.domain.label import LabelKind

MAX_ACTIONS: Final = 500
"""Of a case; its history is read as a whole. A resolution is taken beyond that."""


class CaseState(StrEnum):
    """Where it stands."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """What the payment was."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"

    @property
    def label(self) -> LabelKind:
        """What is learnt of it."""
        return LabelKind.CONFIRMED if self is Resolution.FRAUD else LabelKind.CLEARED


class ActionKind(StrEnum):
    """What can be done with a case."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    NOTED = "noted"
    RESOLVED = "resolved"


class SealedNote(NamedTuple):
    """A note, and by whose key it opens."""

    key_id: str
    sealed: bytes


@dataclass(frozen=True, kw_only=True)
class CaseAction:
    """One line of a case's history; `version` is the one that it made."""

    version: int
    kind: ActionKind
    actor: str
    actor_kind: Literal["person", "machine", "service"]
    at: datetime
    assignee: str | None = None
    resolution: Resolution | None = None
    note: SealedNote | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewCase:
    """One for each decision whose outcome is review."""

    tenant_id: TenantId
    event_id: EventId
    score: float
    opened_at: datetime
    state: CaseState = CaseState.OPEN
    assignee: str | None = None
    resolution: Resolution | None = None
    resolved_at: datetime | None = None
    version: int = 1


def assigned(case: ReviewCase, assignee: str | None, *, by: str, taking_over: bool) -> ReviewCase:
    """The case in the hands of `assignee`, or of nobody; the same case if it is there already.

    `Conflict` if it is resolved, or if somebody else than `by` holds it and this is no `taking_over`.
    """
    if case.state is CaseState.RESOLVED:
        raise _is_resolved(case)
    if case.assignee == assignee:
        return case
    _require_hold(case, by, taking_over)
    _require_room(case)
    state = CaseState.OPEN if assignee is None else CaseState.ASSIGNED
    return replace(case, state=state, assignee=assignee, version=case.version + 1)


def noted(case: ReviewCase) -> ReviewCase:
    """The case with one more note; anybody may write one, also when it is resolved."""
    _require_room(case)
    return replace(case, version=case.version + 1)


def resolved(case: ReviewCase, resolution: Resolution, *, by: str, at: datetime, taking_over: bool) -> ReviewCase:
    """The case at its end. `Conflict` as for `assigned`."""
    if case.state is CaseState.RESOLVED:
        raise _is_resolved(case)
    _require_hold(case, by, taking_over)
    return replace(case, state=CaseState.RESOLVED, resolution=resolution, resolved_at=at, version=case.version + 1)


def _require_hold(case: ReviewCase, by: str, taking_over: bool) -> None:
    if case.assignee not in (None, by) and not taking_over:
        raise Conflict(
            "Somebody else holds the case. Who has seen that takes it over by naming its version in If-Match.",
            slug="case-held",
            extra={"assignee": case.assignee, "version": case.version},
        )


def _require_room(case: ReviewCase) -> None:
    if case.version >= MAX_ACTIONS:
        raise Conflict(f"A case has at most {MAX_ACTIONS} actions; this one can only be resolved.", slug="case-full")


def _is_resolved(case: ReviewCase) -> Conflict:
    return Conflict(
        f"The case was resolved before, as {case.resolution}.",
        slug="case-resolved",
        extra={"resolution": case.resolution, "version": case.version},
    )
