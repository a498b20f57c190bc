"""Full-size payments: the sample event, of many people with devices, cards and addresses of their own."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from weir_bench.load_generator import TEMPLATE

PEOPLE: Final = 5_000


def payments(tenant: str, seed: int) -> Iterator[tuple[str, bytes]]:
    """Event id and event, for ever; the time is that of the making."""
    chance = random.Random(seed)
    parts = _parts(tenant)
    while True:
        event_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        person = chance.randrange(PEOPLE)
        values = {
            "EVENT": event_id,
            "TIME": datetime.now(UTC).isoformat(),
            "USER": f"person-{person}",
            "DEVICE": f"device-{person}-{chance.randrange(2)}",
            "TOKEN": f"token-{person}-{chance.randrange(3)}",
            "ADDRESS": f"address-{person}",
            "SELLER": f"seller-{chance.randrange(500)}",
            "AMOUNT": f"{chance.lognormvariate(4, 0.8):.2f}",
        }
        yield event_id, "".join(values.get(part, part) for part in parts).encode()


def _parts(tenant: str) -> list[str]:
    document: dict[str, Any] = json.loads(TEMPLATE.read_text())
    document["tenant_id"] = tenant
    document["event_metadata"] |= {"event_id": "@EVENT@", "timestamp": "@TIME@"}
    document["event_data"] |= {"event_type": "transaction", "event_subtype": "purchase"}
    user = document["event_data"]["user_context"]
    user |= {"user_id": "@USER@", "anonymous_id": "@USER@"}
    user["session_data"]["session_attributes"]["device_fingerprint"] = "@DEVICE@"
    business = document["event_data"]["business_context"]
    business["tenant_metadata"]["merchant_id"] = "@SELLER@"
    cart = business["transaction_context"]["cart_context"]
    cart["cart_id"] = "@EVENT@"
    cart["cart_value"]["final_total"] = "@AMOUNT@"
    context = cart["payment_context"]
    context["shipping_context"]["shipping_address"]["address_hash"] = "@ADDRESS@"
    method = context["payment_methods"][0]
    method["tokenized_identifier"] = "@TOKEN@"
    method["billing_address"]["address_hash"] = "@ADDRESS@"
    text = json.dumps(document, separators=(",", ":")).replace('"@AMOUNT@"', "@AMOUNT@")
    return text.split("@")
