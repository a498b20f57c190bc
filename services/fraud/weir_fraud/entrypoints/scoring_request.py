"""One event from a caller, judged as ingest would judge it, and as a payment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from weir_common.events import EventRejected, decode_event, encode_event
from weir_common.http import decode_body
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.payment import MAX_AMOUNT, Payment
from weir_fraud.domain.payment_event import EVENT_TYPE, PAYMENT_SUBTYPES, PaymentEvent, is_plausible, payment_of

FURTHEST_AHEAD: Final = timedelta(days=1)
"""A sender's clock may be wrong, but not by more: a decision about the future is none."""


class _Body(msgspec.Struct):
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_body = msgspec.json.Decoder(_Body)
_payment_event = msgspec.json.Decoder(PaymentEvent)


def event_of(body: bytes) -> tuple[PaymentEvent, str]:
    """The event of a body, bare or as `{"event": …}`, and where it stands in it (a pointer); `InvalidRequest` otherwise."""
    envelope = decode_body(_body, body)
    if isinstance(envelope.event, msgspec.Raw):
        content, prefix = bytes(envelope.event), "/event"
    else:
        content, prefix = body, ""
    try:
        event = decode_event(content).event
    except EventRejected as rejected:
        raise InvalidRequest(
            "The event is not one of a known schema.",
            errors=[FieldError(prefix + error.pointer, error.expected, error.got) for error in rejected.errors],
        ) from rejected
    # As it would stand on the log: of the newest version, whichever was sent.
    return _payment_event.decode(encode_event(event)), prefix


def payment_to_score(event: PaymentEvent, prefix: str, now: datetime) -> Payment:
    """The payment of the event; `InvalidRequest` that names all that keeps it from being one."""
    faults: list[FieldError] = []
    data = event.event_data
    if data.event_type != EVENT_TYPE:
        faults.append(FieldError(f"{prefix}/event_data/event_type", EVENT_TYPE, data.event_type))
    if data.event_subtype not in PAYMENT_SUBTYPES:
        faults.append(
            FieldError(
                f"{prefix}/event_data/event_subtype",
                f"one of {', '.join(sorted(PAYMENT_SUBTYPES))}",
                data.event_subtype,
            )
        )
    if event.amount is not None and not is_plausible(event.amount):
        faults.append(
            FieldError(
                f"{prefix}/event_data/business_context/transaction_context/cart_context/cart_value/final_total",
                f"an amount from 0 to less than {MAX_AMOUNT}",
                str(event.amount)[:80],
            )
        )
    if event.event_metadata.timestamp > now + FURTHEST_AHEAD:
        faults.append(
            FieldError(
                f"{prefix}/event_metadata/timestamp",
                "a time that is at most a day ahead",
                event.event_metadata.timestamp.isoformat(),
            )
        )
    if faults:
        raise InvalidRequest("The event is no payment that can be decided on.", errors=faults)
    return payment_of(event, TenantId(event.tenant_id), now)
