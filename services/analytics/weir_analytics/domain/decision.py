"""The fields of a fraud decision that analytics reads (`weir.fraud.decisions.v1`)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from weir_analytics.domain.event import currency_code, microseconds, plausible
from weir_analytics.domain.facts import PaymentScored


class FraudDecision(msgspec.Struct, gc=False):
    """One decision on one payment."""

    event_id: str
    event_timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    outcome: str
    """`approve`, `review` or `decline`."""
    amount: Decimal | None = None
    currency: str | None = None

    @property
    def fact(self) -> PaymentScored:
        return PaymentScored(
            microseconds(self.event_timestamp),
            declined=self.outcome == "decline",
            amount=plausible(self.amount),
            currency=currency_code(self.currency),
        )
