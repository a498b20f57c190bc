"""Every field says what happens to it for privacy's sake; nothing else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, get_type_hints

import msgspec
import pytest
from msgspec import inspect
from weir_common.events import field_privacy
from weir_common.events.event import Event
from weir_common.events.part import Part
from weir_common.events.privacy import DEVICE, ORDER, FieldPrivacy

USER = "/event_data/user_context"
SESSION = f"{USER}/session_data"
CART = "/event_data/business_context/transaction_context/cart_context"
PAY = f"{CART}/payment_context/payment_methods/*"
SECURITY = "/event_data/technical_context/security_context"


def annotations(struct: type[msgspec.Struct]) -> Iterator[tuple[str, bool, int]]:
    """Each member below a struct: pointer, whether it is a leaf, how many policies it names."""
    kind: Any = inspect.type_info(struct)
    yield from _walk(kind, "", 0)


def _walk(kind: Any, pointer: str, policies: int) -> Iterator[tuple[str, bool, int]]:
    if isinstance(kind, inspect.Metadata):
        yield from _walk(kind.type, pointer, policies + ("privacy" in (kind.extra or {})))
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            if not isinstance(one, inspect.NoneType):
                yield from _walk(one, pointer, policies)
    elif isinstance(kind, inspect.ListType):
        yield from _walk(kind.item_type, pointer + "/*", policies)
    elif isinstance(kind, inspect.DictType):
        yield from _walk(kind.value_type, pointer + "/*", policies)
    elif isinstance(kind, inspect.StructType):
        yield pointer, False, policies
        for field in kind.fields:
            yield from _walk(field.type, f"{pointer}/{field.encode_name}", 0)
    else:
        yield pointer, True, policies


def without_policy(struct: type[msgspec.Struct]) -> list[str]:
    return [pointer for pointer, leaf, policies in annotations(struct) if leaf and policies != 1]


def policy_without_field(struct: type[msgspec.Struct]) -> list[str]:
    return [pointer for pointer, leaf, policies in annotations(struct) if not leaf and policies]


def with_two_policies(struct: type[msgspec.Struct]) -> list[str]:
    """msgspec merges the metadata of a member, so these are counted before it does."""
    kinds: Any = inspect.multi_type_info([struct])
    structs = {kind.cls for kind in _structs(kinds[0])}
    found = []
    for cls in structs:
        for name, hint in get_type_hints(cls, include_extras=True).items():
            marks = [mark for mark in getattr(hint, "__metadata__", ()) if "privacy" in (mark.extra or {})]
            if len(marks) > 1:
                found.append(f"{cls.__name__}.{name}")
    return found


def _structs(kind: Any) -> Iterator[Any]:
    for inner in (*getattr(kind, "types", ()), getattr(kind, "item_type", None), getattr(kind, "type", None)):
        if inner is not None:
            yield from _structs(inner)
    if isinstance(kind, inspect.StructType):
        yield kind
        for field in kind.fields:
            yield from _structs(field.type)


def test_every_leaf_names_its_policy_once() -> None:
    missing = without_policy(Event)
    assert not missing, f"say in the struct how these are handled, e.g. Annotated[Text | None, DEVICE]: {missing}"


def test_no_member_names_two_policies() -> None:
    assert with_two_policies(Event) == []


def test_no_policy_stands_at_what_is_no_leaf() -> None:
    surplus = policy_without_field(Event)
    assert not surplus, f"a policy belongs to each member inside, not to the part: {surplus}"


def test_the_table_has_exactly_the_leaves() -> None:
    assert set(field_privacy()) == {pointer for pointer, leaf, _ in annotations(Event) if leaf}


class Inner(Part):
    said: Annotated[str | None, DEVICE] = None
    forgotten: str | None = None
    items: list[str] | None = None


class Outer(Part):
    inner: Annotated[Inner | None, ORDER] = None
    parts: list[Inner] | None = None
    twice: Annotated[str | None, DEVICE, ORDER] = None


def test_a_forgotten_a_misplaced_and_a_second_policy_are_found() -> None:
    assert with_two_policies(Outer) == ["Outer.twice"]
    assert without_policy(Outer) == [
        "/inner/forgotten",
        "/inner/items/*",
        "/parts/*/forgotten",
        "/parts/*/items/*",
    ]
    assert policy_without_field(Outer) == ["/inner"]


IDENTIFIERS = {
    f"{USER}/user_id": ("subject", None),
    f"{USER}/anonymous_id": ("subject", None),
    f"{SESSION}/session_id": ("token", "session"),
    "/event_metadata/correlation_id": ("token", "session"),
    f"{SESSION}/session_attributes/device_fingerprint": ("token", "device"),
    f"{SESSION}/session_attributes/geolocation/coordinates/lat": ("coarse", None),
    f"{SESSION}/session_attributes/geolocation/coordinates/lon": ("coarse", None),
    f"{PAY}/tokenized_identifier": ("token", "card"),
    f"{PAY}/billing_address/address_hash": ("token", "address"),
    f"{PAY}/billing_address/postal_code": ("sealed", None),
    f"{CART}/payment_context/shipping_context/shipping_address/address_hash": ("token", "address"),
    f"{CART}/payment_context/shipping_context/shipping_address/postal_code": ("sealed", None),
    f"{SECURITY}/client_network/address_hash": ("token", "ip"),
    f"{SECURITY}/client_network/prefix_hash": ("token", "ip"),
    f"{SECURITY}/api_key_hash": ("sealed", None),
    f"{SECURITY}/request_signature": ("sealed", None),
    "/partition_key": ("sealed", None),
    "/unknown_fields/*": ("sealed", None),
}


def test_identifiers_and_nothing_else_leave_the_open() -> None:
    hidden = {
        pointer: (policy.handling, policy.namespace)
        for pointer, policy in field_privacy().items()
        if policy.handling not in ("open", "scanned")
    }
    assert hidden == IDENTIFIERS


@pytest.mark.parametrize(
    "pointer",
    [
        f"{SESSION}/session_attributes/geolocation/country",
        f"{SESSION}/session_attributes/geolocation/region",
        f"{CART}/cart_value/final_total",
        f"{PAY}/amount",
        "/event_data/business_context/tenant_metadata/merchant_category_code",
    ],
)
def test_what_rules_need_stays_open(pointer: str) -> None:
    assert field_privacy()[pointer].handling == "open"


@pytest.mark.parametrize("name", ["page_url", "referrer_url", "decline_reason", "reason", "element_id", "route"])
def test_texts_of_people_and_pages_are_looked_through(name: str) -> None:
    found = [policy.handling for pointer, policy in field_privacy().items() if pointer.endswith(f"/{name}")]
    assert "scanned" in found


def test_a_policy_has_one_meaning() -> None:
    meanings = Counter(policy.name for policy in set(field_privacy().values()))
    assert set(meanings.values()) == {1}


@pytest.mark.parametrize(("handling", "namespace"), [("token", None), ("open", "card")])
def test_a_token_and_only_a_token_has_a_namespace(handling: Any, namespace: Any) -> None:
    with pytest.raises(ValueError, match="namespace"):
        FieldPrivacy("x", handling, "payment", "analytics", "contract", "events", namespace)
