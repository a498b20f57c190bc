"""Which of a payment's labels counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from weir_common.ids import EventId, TenantId
from weir_fraud.domain.label import Label, LabelKind, LabelSource, current_label

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def label(kind: LabelKind, *, hours: float = 0, received: float = 0) -> Label:
    return Label(
        tenant_id=TenantId("shop"),
        event_id=EventId("6f1e2d3c-0a9b-4c8d-9e7f-112233445566"),
        kind=kind,
        occurred_at=NOON + timedelta(hours=hours),
        recorded_at=NOON + timedelta(days=9, hours=received),
        recorded_by="key:shop",
        source=LabelSource.FEEDBACK,
    )


@pytest.mark.parametrize(
    ("labels", "current"),
    [
        ([label(LabelKind.CHARGEBACK), label(LabelKind.CLEARED, hours=1)], 1),
        ([label(LabelKind.CHARGEBACK, hours=1), label(LabelKind.CLEARED, received=5)], 0),
        ([label(LabelKind.CLEARED, received=5), label(LabelKind.CONFIRMED), label(LabelKind.CHARGEBACK)], 2),
        ([label(LabelKind.CLEARED, received=5), label(LabelKind.CONFIRMED)], 1),
        ([label(LabelKind.CONFIRMED, received=1), label(LabelKind.CONFIRMED)], 0),
    ],
)
def test_the_newest_counts_then_the_weightiest_then_the_last_received(labels: list[Label], current: int) -> None:
    for order in permutations(labels):
        assert current_label(order) is labels[current]


def test_without_labels_nothing_counts() -> None:
    assert current_label([]) is None


def test_only_cleared_is_no_fraud() -> None:
    assert {kind: kind.is_fraud for kind in LabelKind} == {"chargeback": True, "confirmed": True, "cleared": False}


def test_a_label_is_the_same_whoever_sends_it_and_when() -> None:
    assert label(LabelKind.CLEARED).key == label(LabelKind.CLEARED, received=7).key
    assert label(LabelKind.CLEARED).key != label(LabelKind.CLEARED, hours=1).key
    assert label(LabelKind.CLEARED).key != label(LabelKind.CONFIRMED).key
