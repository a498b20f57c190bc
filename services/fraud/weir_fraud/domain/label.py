"""What became known of a payment afterwards, and which of several labels counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from weir_common.ids import EventId, TenantId

from weir_fraud.domain.payment import LABEL_FRAUD, LABEL_HONEST, Known, microseconds


class LabelKind(StrEnum):
    """What is said of the payment."""

    CHARGEBACK = "chargeback"
    """The cardholder's bank took the money back."""
    CONFIRMED = "confirmed"
    """Somebody found out that it was fraud."""
    CLEARED = "cleared"
    """It was honest."""

    @property
    def is_fraud(self) -> bool:
        """What a model learns from it."""
        return self is not LabelKind.CLEARED


class LabelSource(StrEnum):
    """Which way in it took."""

    FEEDBACK = "feedback"
    CASE = "case"


class LabelKey(NamedTuple):
    """What makes a label the same label: said again, it adds nothing."""

    event_id: EventId
    kind: LabelKind
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class Label:
    """One of a payment's labels. Times are UTC; `occurred_at` is when it became known to who sent it."""

    tenant_id: TenantId
    event_id: EventId
    kind: LabelKind
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str
    source: LabelSource
    reference: str | None = None

    @property
    def key(self) -> LabelKey:
        """See `LabelKey`."""
        return LabelKey(self.event_id, self.kind, self.occurred_at)


_WEIGHT: Final = {LabelKind.CLEARED: 0, LabelKind.CONFIRMED: 1, LabelKind.CHARGEBACK: 2}
"""Of labels of one moment: money that was taken back is a fact, the others are somebody's judgement."""


def known_of(labels: Sequence[Label]) -> Known:
    """What the feature store keeps of at least one label: whether it was fraud, since when."""
    newest = max(labels, key=_rank)
    return Known(LABEL_FRAUD if newest.kind.is_fraud else LABEL_HONEST, microseconds(newest.occurred_at))


def current_label(labels: Iterable[Label]) -> Label | None:
    """The one that counts: the newest; of one moment the weightiest, then the one that was received last."""
    return max(labels, key=_rank, default=None)


def _rank(label: Label) -> tuple[datetime, int, datetime]:
    return label.occurred_at, _WEIGHT[label.kind], label.recorded_at
