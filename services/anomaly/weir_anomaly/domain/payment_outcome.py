"""How a payment attempt ended, read from the optional ``outcome`` of the payment method, else from the event's subtype."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from weir_anomaly.domain.event import PaymentMethod


class Outcome(IntEnum):
    """``FAULT`` is the processor's fault: it says nothing about the card."""

    PENDING = 0
    APPROVED = 1
    DECLINED = 2
    FAULT = 3


_BY_WORD: Final = {"approved": Outcome.APPROVED, "declined": Outcome.DECLINED, "error": Outcome.FAULT}
_BY_SUBTYPE: Final = {"purchase": Outcome.APPROVED, "payment_declined": Outcome.DECLINED}
_FAULT_REASONS: Final = frozenset(
    {"error", "processor_error", "processing_error", "issuer_unavailable", "timeout", "system_error"}
)


def outcome_of(payment: PaymentMethod, subtype: str) -> Outcome:
    """``PENDING`` for an attempt whose outcome comes later."""
    word = payment.outcome
    outcome = _BY_WORD.get(word) if type(word) is str else None
    if outcome is None:
        outcome = _BY_SUBTYPE.get(subtype, Outcome.PENDING)
    if outcome is Outcome.DECLINED:
        reason = payment.decline_reason
        if type(reason) is str and reason in _FAULT_REASONS:
            return Outcome.FAULT
    return outcome
