"""Events of each version: the least there can be, and one with every field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from weir_common.events import version_2_0
from weir_common.events.event import Event

Document = dict[str, Any]
LOG_ONLY = ("unknown_fields", "sealed")
_TEXTS = {
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)": "merchant_1",
    r"^[a-z][a-z0-9_]{0,63}$(?!\n)": "purchase",
    r"^[A-Z]{2}$(?!\n)": "DE",
    r"^[A-Z]{3}$(?!\n)": "EUR",
    r"^[0-9]{4}$(?!\n)": "5411",
}


def _filled(kind: Any) -> Any:
    """A valid value for a type, with every member and two items a list."""
    match kind:
        case inspect.Metadata(type=inner):
            return _filled(inner)
        case inspect.UnionType(types=kinds):
            return _filled(next(one for one in kinds if not isinstance(one, inspect.NoneType)))
        case inspect.StructType(fields=fields):
            return {field.encode_name: _filled(field.type) for field in fields if field.name not in LOG_ONLY}
        case inspect.ListType(item_type=item):
            return [_filled(item), _filled(item)]
        case inspect.LiteralType(values=values):
            return values[-1]
        case inspect.StrType(pattern=pattern):
            return _TEXTS[pattern] if pattern else "text"
        case inspect.IntType(ge=least):
            return max(least or 0, 7)
        case inspect.FloatType():
            return 0.25
        case inspect.BoolType():
            return True
        case inspect.DecimalType():
            return msgspec.Raw("19.90")
        case inspect.DateTimeType():
            return "2026-11-25T10:30:00.500000Z"
        case inspect.UUIDType():
            return "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
        case _:
            raise AssertionError(f"no value for {kind}")


@pytest.fixture
def least() -> Document:
    """Only what is required."""
    return {
        "schema_version": "2.2",
        "tenant_id": "merchant_1",
        "event_metadata": {
            "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
            "timestamp": "2026-11-25T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {"event_type": "transaction", "event_subtype": "purchase"},
    }


@pytest.fixture
def full() -> Document:
    """Every field of 2.2."""
    document: Document = _filled(inspect.type_info(Event))
    return document


@pytest.fixture
def full_2_0() -> Document:
    """Every field of 2.0."""
    document: Document = msgspec.json.decode(msgspec.json.encode(_filled(inspect.type_info(version_2_0.Event))))
    trade = document["event_data"]["business_context"]
    del trade["tenant_metadata"]["merchant_category_code"]
    del trade["transaction_context"]["order_id"], trade["transaction_context"]["return_context"]
    for product in trade["transaction_context"]["products"]:
        del product["quantity"]
    cart = trade["transaction_context"]["cart_context"]
    del cart["cart_value"]["currency"]
    for method in cart["payment_context"]["payment_methods"]:
        del method["outcome"], method["decline_reason"], method["amount"]
    del trade["interaction_context"]["page_context"]["page_load_metrics"]["interaction_to_next_paint"]
    security = document["event_data"]["technical_context"]["security_context"]
    del security["client_network"], security["http_status"], security["route"]
    return document


@pytest.fixture
def put() -> Callable[[Document, str, Any], bytes]:
    """Write a value at a pointer of a document, making objects on the way, and give its text."""

    def write(document: Document, pointer: str, value: Any) -> bytes:
        *path, last = pointer.split("/")[1:]
        part: Any = document
        for step in path:
            part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
        if isinstance(part, list):
            part[int(last)] = value
        else:
            part[last] = value
        return msgspec.json.encode(document)

    return write
