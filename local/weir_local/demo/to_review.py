"""A payment that the model would not decide alone, whatever model it is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from weir_local.demo import attacks
from weir_local.demo.api import Gateway
from weir_local.demo.shoppers import Event

_AMOUNTS: Final = (12.5, 60.0, 250.0, 900.0, 3_000.0)
_PAYMENTS_A_PERSON: Final = 12


async def payment_to_review(gateway: Gateway, tenant: str, key: str) -> Event:
    """The event. Strangers pay again and again, each time from another device: from approved to declined, by way of review.

    `RuntimeError` if nothing was reviewed on the way.
    """
    path = "/api/v2/ml/inference/fraud"
    outcomes: list[str] = []
    for amount in _AMOUNTS:
        stranger = f"stranger-{uuid.uuid4().hex}"
        for _ in range(_PAYMENTS_A_PERSON):
            event = attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))
            event["event_data"]["user_context"]["user_id"] = stranger
            cart = event["event_data"]["business_context"]["transaction_context"]["cart_context"]
            cart["cart_value"] |= {"subtotal": amount, "final_total": amount}
            answer = await gateway.client.post(path, json={"event": event}, headers={"x-api-key": key})
            answer.raise_for_status()
            outcomes.append(answer.json()["outcome"])
            if outcomes[-1] == "review":
                return event
            if outcomes[-1] == "decline":
                break
    raise RuntimeError(f"no payment was to be reviewed: {outcomes}")
