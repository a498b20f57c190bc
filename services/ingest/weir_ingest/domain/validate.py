"""Decides whether an event is one: the schema's shape, then the rules that a schema cannot say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from weir_common.events import Event, subject_of
from weir_common.http import field_error
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.problems import FieldError

_decoder = msgspec.json.Decoder(Event)
_MAX_GOT = 120


class ValidEvent(msgspec.Struct, frozen=True, gc=False):
    """What the log needs of a valid event; ``body`` is its JSON text."""

    body: bytes
    event_id: EventId
    tenant_id: TenantId
    subject: SubjectId
    event_type: str
    event_subtype: str
    schema_version: str


class InvalidEvent(msgspec.Struct, frozen=True):
    """Why an event is refused. ``event_id`` and ``tenant_id`` as far as they can be read."""

    errors: tuple[FieldError, ...]
    event_id: str = ""
    tenant_id: str = ""


def validate(raw: bytes | msgspec.Raw, *, max_bytes: int) -> ValidEvent | InvalidEvent:
    """Judge one event's JSON text. Pointers in the errors are relative to the event."""
    size = len(memoryview(raw))
    if size > max_bytes:
        return _invalid(raw, [FieldError("", f"an event of at most {max_bytes} bytes", f"{size} bytes")])
    try:
        event = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        return _invalid(raw, [field_error(error)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return InvalidEvent((FieldError("", "a JSON object", str(error)[:_MAX_GOT]),))
    errors = money_errors(event)
    if errors:
        return _invalid(raw, errors)
    data = event.event_data
    return ValidEvent(
        body=bytes(raw),
        event_id=EventId(str(event.event_metadata.event_id)),
        tenant_id=TenantId(event.tenant_id),
        subject=subject_of(event),
        event_type=data.event_type,
        event_subtype=data.event_subtype,
        schema_version=event.schema_version,
    )


def money_errors(event: Event) -> list[FieldError]:
    """Amounts must be finite numbers: JSON has no NaN, but a decimal in a string could bring one."""
    business = event.event_data.business_context
    transaction = business.transaction_context if business is not None else None
    if transaction is None:
        return []
    errors: list[FieldError] = []
    base = "/event_data/business_context/transaction_context"

    def check(where: str, amount: Decimal | None) -> None:
        if amount is not None and not amount.is_finite():
            errors.append(FieldError(base + where, "a finite amount", str(amount)))

    for index, product in enumerate(transaction.products or ()):
        if product.pricing is not None:
            for name in ("list_price", "sale_price", "cost_basis"):
                check(f"/products/{index}/pricing/{name}", getattr(product.pricing, name))
    cart = transaction.cart_context
    if cart is not None and cart.cart_value is not None:
        value = cart.cart_value
        check("/cart_context/cart_value/subtotal", value.subtotal)
        check("/cart_context/cart_value/final_total", value.final_total)
        for index, tax in enumerate(value.tax_breakdown or ()):
            check(f"/cart_context/cart_value/tax_breakdown/{index}/amount", tax.amount)
        for index, discount in enumerate(value.discounts_applied or ()):
            check(f"/cart_context/cart_value/discounts_applied/{index}/discount_amount", discount.discount_amount)
    return errors


def _invalid(raw: bytes | msgspec.Raw, errors: list[FieldError]) -> InvalidEvent:
    """Show what was sent at each pointer, and whose event it seems to be."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return InvalidEvent(tuple(errors))
    shown = tuple(
        error if error.got else FieldError(error.pointer, error.expected, _shown(_at(document, error.pointer)))
        for error in errors
    )
    return InvalidEvent(
        shown, event_id=_text(_at(document, "/event_metadata/event_id")), tenant_id=_text(_at(document, "/tenant_id"))
    )


def _at(document: Any, pointer: str) -> Any:
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_GOT else text[:_MAX_GOT] + "…"


def _text(value: Any) -> str:
    return value[:_MAX_GOT] if isinstance(value, str) else ""
