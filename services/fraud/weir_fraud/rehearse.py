"""One decision before the first: a server plans and compiles at the first time what every decision asks of it, on each connection anew.

Left to the first shopper of each connection that is some 30 ms of a budget of 50.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from weir_common.ids import EventId, SubjectId, TenantId, uuid7

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Decision, Source, decide
from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY
from weir_fraud.ports import Model

NOBODY: Final = TenantId("rehearsal")
"""Whose the decision would be. Nothing is ever stored of it."""


def rehearsal(model: Model, catalogue: Catalogue, at: datetime) -> Decision:
    """A decision like any other, on a made-up payment of which no history is known."""
    event_id = EventId(str(uuid7()))
    payment = Payment(
        tenant_id=NOBODY,
        event_id=event_id,
        transaction_id="rehearsal",
        kind=PaymentKind.PURCHASE,
        at=at,
        received_at=at,
        subject=SubjectId(event_id),
        amount=Decimal("1.00"),
        currency="EUR",
        user_id="rehearsal",
        country="DE",
    )
    vector = catalogue.vector(payment, [math.nan] * len(catalogue.plan), model.card.features)
    (scored,) = model.score([vector])
    return decide(
        payment,
        vector,
        scored,
        card=model.card,
        catalogue=catalogue,
        decided_at=at,
        latency=timedelta(),
        source=Source.GRPC,
        policy=WITHOUT_POLICY,
    )
