"""What can be done with a case as it stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from weir_common.ids import EventId, TenantId
from weir_common.problems import Conflict
from weir_fraud.domain.label import LabelKind
from weir_fraud.domain.review_case import (
    MAX_ACTIONS,
    CaseState,
    Resolution,
    ReviewCase,
    assigned,
    noted,
    resolved,
)

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
CASE = ReviewCase(
    tenant_id=TenantId("shop"),
    event_id=EventId("6f1e2d3c-0a9b-4c8d-9e7f-112233445566"),
    score=0.5,
    opened_at=NOON,
)


def test_a_case_goes_from_hand_to_hand_and_back() -> None:
    hers = assigned(CASE, "ada", by="ada", taking_over=False)
    assert (hers.state, hers.assignee, hers.version) == (CaseState.ASSIGNED, "ada", 2)
    his = assigned(hers, "bob", by="ada", taking_over=False)
    assert (his.state, his.assignee, his.version) == (CaseState.ASSIGNED, "bob", 3)
    nobodys = assigned(his, None, by="bob", taking_over=False)
    assert (nobodys.state, nobodys.assignee, nobodys.version) == (CaseState.OPEN, None, 4)


def test_what_it_is_already_changes_nothing() -> None:
    hers = assigned(CASE, "ada", by="ada", taking_over=False)
    assert assigned(hers, "ada", by="bob", taking_over=False) is hers
    assert assigned(CASE, None, by="bob", taking_over=False) is CASE


@pytest.mark.parametrize("to", ["bob", None])
def test_what_another_holds_is_not_taken_unseen(to: str | None) -> None:
    hers = assigned(CASE, "ada", by="ada", taking_over=False)
    with pytest.raises(Conflict) as refused:
        assigned(hers, to, by="bob", taking_over=False)
    assert (refused.value.slug, refused.value.extra) == ("case-held", {"assignee": "ada", "version": 2})
    assert assigned(hers, to, by="bob", taking_over=True).assignee == to
    with pytest.raises(Conflict):
        resolved(hers, Resolution.FRAUD, by="bob", at=NOON, taking_over=False)
    assert resolved(hers, Resolution.FRAUD, by="bob", at=NOON, taking_over=True).state is CaseState.RESOLVED


@pytest.mark.parametrize(
    ("resolution", "label"), [(Resolution.FRAUD, LabelKind.CONFIRMED), (Resolution.LEGITIMATE, LabelKind.CLEARED)]
)
def test_a_resolution_is_the_end_and_a_label(resolution: Resolution, label: LabelKind) -> None:
    ended = resolved(CASE, resolution, by="ada", at=NOON, taking_over=False)
    assert (ended.state, ended.resolution, ended.resolved_at, ended.version) == (
        CaseState.RESOLVED,
        resolution,
        NOON,
        2,
    )
    assert resolution.label is label
    for again in (True, False):
        with pytest.raises(Conflict):
            resolved(ended, resolution, by="ada", at=NOON, taking_over=again)
        with pytest.raises(Conflict):
            assigned(ended, "ada", by="ada", taking_over=again)
    assert noted(ended).version == 3


def test_a_history_ends_but_a_case_can_always_be_resolved() -> None:
    full = replace(CASE, version=MAX_ACTIONS)
    with pytest.raises(Conflict):
        noted(full)
    with pytest.raises(Conflict):
        assigned(full, "ada", by="ada", taking_over=True)
    assert resolved(full, Resolution.FRAUD, by="ada", at=NOON, taking_over=False).version == MAX_ACTIONS + 1
