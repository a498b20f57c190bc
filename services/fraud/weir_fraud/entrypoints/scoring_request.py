"""One event from a caller, judged and protected as ingest would do it, and as a payment.

Protected, so that the same payment has the same subject, device and card here and on the log, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from weir_common.currencies import CURRENCIES
from weir_common.events import Event, EventRejected, decode_event, encode_event
from weir_common.events.transaction_context import CartValue, TransactionContext
from weir_common.http import decode_body
from weir_common.ids import TenantId
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.payment import MAX_AMOUNT, Payment
from weir_fraud.domain.payment_event import EVENT_TYPE, PAYMENT_SUBTYPES, PaymentEvent, is_plausible, payment_of
from weir_fraud.let_others import let_others

FURTHEST_AHEAD: Final = timedelta(days=1)
"""A sender's clock may be wrong, but not by more: a decision about the future is none."""

EVENTS_A_STEP: Final = 5
"""After so many events of a batch the others of the loop have their turn."""


_TRANSACTION: Final = "/event_data/business_context/transaction_context"
_CART: Final = f"{_TRANSACTION}/cart_context/cart_value"


class _Body(msgspec.Struct):
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_body = msgspec.json.Decoder(_Body)
_payment_event = msgspec.json.Decoder(PaymentEvent)


def event_of(body: bytes) -> tuple[Event, str]:
    """The event of a body, bare or as `{"event": …}`, and where it stands in it (a pointer); `InvalidRequest` otherwise."""
    envelope = decode_body(_body, body)
    if isinstance(envelope.event, msgspec.Raw):
        content, prefix = bytes(envelope.event), "/event"
    else:
        content, prefix = body, ""
    try:
        return decode_event(content).event, prefix
    except EventRejected as rejected:
        raise InvalidRequest(
            "The event is not one of a known schema.",
            errors=[FieldError(prefix + error.pointer, error.expected, error.got) for error in rejected.errors],
        ) from rejected


async def payments_to_score(
    tenant_id: TenantId, events: Sequence[Event], now: datetime, protect: ProtectEvents
) -> list[Payment]:
    """The payments of a tenant's events as they would stand on the log, in order; the vault is asked once.

    `VaultUnavailable` if they cannot be protected now.
    """
    protected = await protect(tenant_id, events, step=let_others)
    payments: list[Payment] = []
    for event in protected:
        if len(payments) % EVENTS_A_STEP == EVENTS_A_STEP - 1:
            await let_others()
        payments.append(payment_of(_payment_event.decode(encode_event(event)), tenant_id, now))
    return payments


def refuse_what_is_no_payment(event: Event, prefix: str, now: datetime) -> None:
    """`InvalidRequest` that names all that keeps the event from being a payment that can be decided on."""
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
    transaction = _transaction(event)
    cart = _cart_value(transaction)
    amount = cart.final_total if cart is not None else None
    if amount is not None and not is_plausible(amount):
        faults.append(
            FieldError(f"{prefix}{_CART}/final_total", f"an amount from 0 to less than {MAX_AMOUNT}", str(amount)[:80])
        )
    # Ingest takes it, since the rest of the event is worth keeping, and anomaly reports it; but who asks for a decision can be told.
    faults += [
        FieldError(prefix + where, "an active code of ISO 4217", code)
        for where, code in _currencies(transaction, cart)
        if code not in CURRENCIES
    ]
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


def _transaction(event: Event) -> TransactionContext | None:
    business = event.event_data.business_context
    return business.transaction_context if business is not None else None


def _cart_value(transaction: TransactionContext | None) -> CartValue | None:
    cart = transaction.cart_context if transaction is not None else None
    return cart.cart_value if cart is not None else None


def _currencies(transaction: TransactionContext | None, cart: CartValue | None) -> Iterator[tuple[str, str]]:
    """Pointers and codes: the cart's, else those of its lines, as a payment's currency is found."""
    if cart is not None and cart.currency is not None:
        yield f"{_CART}/currency", cart.currency
        return
    products = transaction.products if transaction is not None else None
    for place, product in enumerate(products or ()):
        if product.pricing is not None and product.pricing.currency is not None:
            yield f"{_TRANSACTION}/products/{place}/pricing/currency", product.pricing.currency
