"""What an event looks like once it is protected, and that it comes back whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weir_common.events import (
    EventRejected,
    decode_event,
    encode_event,
    event_on_the_log,
    field_privacy,
    subject_of,
)
from weir_common.events.event import Event, SealedOriginals
from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyDestroyed, SealBroken
from weir_common.privacy.identifiers import KIND_OF_FIELD, identifiers_of, user, visitor
from weir_common.privacy.link_tokens import PREFIXES
from weir_common.privacy.ports import Subject
from weir_common.privacy.protect import protect
from weir_common.privacy.reveal import reveal
from weir_common.privacy.subject_cipher import SubjectCipher

NOW = datetime(2026, 12, 10, tzinfo=UTC)
USER = "/event_data/user_context"
many = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def event(**user_context: Any) -> Event:
    return decode_event(
        msgspec.json.encode(
            {
                "schema_version": "2.2",
                "tenant_id": "merchant_1",
                "event_metadata": {
                    "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
                    "timestamp": "2026-11-25T10:30:00Z",
                    "source_system": "web_app",
                },
                "event_data": {"event_type": "transaction", "event_subtype": "purchase", "user_context": user_context},
            }
        )
    ).event


class Sealing:
    """Protects as ingest does, with a vault in memory."""

    def __init__(self, instance: Any) -> None:
        self._instance = instance

    def __call__(self, one: Event) -> Event:
        return asyncio.run(self.protected(one))

    async def protected(self, one: Event) -> Event:
        tenant = TenantId(one.tenant_id)
        identifiers = identifiers_of(one, NOW)
        subjects = await self._instance.vault.resolve(tenant, identifiers)
        return protect(one, identifiers, subjects, await self._instance.keys.link_tokens(tenant))

    def opened(self, one: Event) -> Event:
        assert one.sealed is not None
        cipher = asyncio.run(self._instance.vault.open_key(TenantId(one.tenant_id), one.sealed.key_id))
        return reveal(one, cipher)


@pytest.fixture
def sealing(memory: Any, clock: Any) -> Sealing:
    return Sealing(type_of_instance(memory, clock))


def type_of_instance(memory: Any, clock: Any) -> Any:
    from weir_common.privacy.rotate import RotateTenantKeys
    from weir_common.privacy.tenant_keys import TenantKeys
    from weir_common.privacy.vault import Vault

    class One:
        keys = TenantKeys(memory.root, memory.keks, memory.records, clock=clock)
        vault = Vault(memory.records, keys)
        rotate = RotateTenantKeys(keys, memory.keks, memory.records, clock=clock)

    return One


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from strings(one)


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf, list indexes as ``*``."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, f"{pointer}/{name}")
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one, f"{pointer}/*")
    else:
        yield pointer, value


@many
@given(data=st.data())
def test_no_identifier_is_left_and_every_event_comes_back(
    data: st.DataObject, documents: Any, memory: Any, clock: Any
) -> None:
    sealing = Sealing(type_of_instance(memory, clock))
    try:
        original = decode_event(msgspec.json.encode(data.draw(documents))).event
    except EventRejected:
        return  # half a coordinate
    before = encode_event(original)
    protected = sealing(original)
    written = encode_event(protected)
    assert encode_event(original) == before
    assert event_on_the_log(written) == protected
    plain = msgspec.json.decode(written)
    assert not [text for text in strings(plain) if "secret-" in text]
    for personal in ("ann.lee@", "901820", "192.168.7.23", "2001:db8"):
        assert not [pointer for pointer, text in leaves(plain) if personal in str(text)]
    if protected.sealed is None:
        assert protected == original
    else:
        assert sealing.opened(protected) == original


def test_the_sample_event(sample: bytes, sealing: Sealing) -> None:
    original = decode_event(sample).event
    protected = sealing(original)
    assert sealing.opened(event_on_the_log(encode_event(protected))) == original
    before, after = (dict(leaves(msgspec.json.decode(encode_event(one)))) for one in (original, protected))
    policies = field_privacy()
    kinds = set()
    for pointer, value in before.items():
        policy = policies[pointer]
        kinds.add(policy.handling)
        match policy.handling:
            case "token":
                assert after[pointer].startswith(PREFIXES[policy.namespace])  # type: ignore[index]
            case "subject":
                assert after[pointer].startswith("sub_")
            case "sealed":
                assert pointer not in after
            case "coarse":
                assert after[pointer] == round(value, 1)
            case _:
                assert after[pointer] == value, pointer
    assert kinds == {"open", "token", "subject", "sealed", "coarse", "scanned"}


def test_every_field_that_is_a_subject_has_a_kind() -> None:
    subjects = {pointer.rpartition("/")[2] for pointer, p in field_privacy().items() if p.handling == "subject"}
    assert subjects == set(KIND_OF_FIELD)


def test_consumers_group_by_what_stays_the_same(sealing: Sealing) -> None:
    ann = sealing(event(user_id="ann", anonymous_id="cookie"))
    again = sealing(event(user_id="ann", anonymous_id="other"))
    before_login = sealing(event(anonymous_id="cookie"))
    bob = sealing(event(user_id="bob"))
    assert subject_of(ann) == subject_of(again) != subject_of(bob)
    assert ann.event_data.user_context is not None
    assert subject_of(before_login) == ann.event_data.user_context.anonymous_id
    assert ann.sealed is not None
    assert ann.sealed.key_id == subject_of(ann)


def test_a_device_alone_is_a_subject_and_a_link(sealing: Sealing) -> None:
    device = {"session_attributes": {"device_fingerprint": "fingerprint"}}
    one, two = sealing(event(session_data=device)), sealing(event(session_data=device))
    assert one.sealed is not None
    assert two.sealed is not None
    assert one.sealed.key_id == two.sealed.key_id
    assert subject_of(one) == subject_of(two)
    assert subject_of(one).startswith("dev_")


def test_an_event_about_nobody_is_sealed_under_the_days_key(sealing: Sealing) -> None:
    one = event(session_data={"session_id": "a session"})
    protected = sealing(one)
    assert protected.sealed is not None
    assert sealing.opened(protected) == one
    assert subject_of(protected) == subject_of(one)


def test_an_event_without_personal_data_stays_the_same(sealing: Sealing) -> None:
    one = event(user_profile={"account_type": "trial"})
    assert sealing(one) is one
    assert reveal(one, SubjectCipher(b"k" * 32)) is one


def test_an_empty_identifier_is_none(sealing: Sealing) -> None:
    one = event(user_id="", anonymous_id="")
    assert sealing(one) is one


def test_unknown_fields_are_sealed_whole(sealing: Sealing) -> None:
    one = event(user_id="ann", shoe_size={"left": 1.50, "right": [None, "secret-x"]})
    assert one.unknown_fields
    protected = sealing(one)
    assert protected.unknown_fields is None
    assert b"secret-x" not in encode_event(protected)
    assert sealing.opened(protected) == one


def test_nothing_is_protected_twice(sealing: Sealing) -> None:
    protected = sealing(event(user_id="ann"))
    with pytest.raises(ValueError, match="already"):
        protect(protected, (), {}, None)  # type: ignore[arg-type]


CARD = "4111 1111 1111 1111"


def test_a_card_number_is_not_even_sealed(sealing: Sealing) -> None:
    digits = CARD.replace(" ", "")
    one = event(user_id="ann", anonymous_id=f"x{digits}", pan=int(digits), note=[f"paid by {CARD}", {CARD: 1.5}])
    one.event_data.business_context = msgspec.convert(
        {
            "transaction_context": {
                "cart_context": {"payment_context": {"payment_methods": [{"tokenized_identifier": CARD}]}},
                "return_context": {"reason": f"I paid by {CARD}, ann@example.org"},
            }
        },
        _business_context(),
    )
    protected = sealing(one)
    written, back = encode_event(protected).decode(), encode_event(sealing.opened(protected)).decode()
    for text in (written, back):
        assert CARD not in text
        assert digits not in text
    # The visitor, three times in unknown fields, the payment method, the reason.
    assert back.count("[card …1111]") == 6
    assert "I paid by [card …1111], ann@example.org" in back
    assert "I paid by [card …1111], [email]" in written


def _business_context() -> Any:
    from weir_common.events.business_context import BusinessContext

    return BusinessContext


def test_a_page_of_ones_own_does_not_name_its_user(sealing: Sealing) -> None:
    one = event(user_id="customer-77", anonymous_id="c1")
    page = {"page_context": {"page_url": "https://shop.example/account/customer-77?tab=c1&mail=ann%40example.org"}}
    one.event_data.business_context = msgspec.convert({"interaction_context": page}, _business_context())
    protected = sealing(one)
    assert b"/account/[id]?tab=c1&mail=[email]" in encode_event(protected)
    assert sealing.opened(protected) == one


def test_a_text_full_of_finds_still_fits_its_field(sealing: Sealing) -> None:
    one = event(user_id="ann")
    reason = "a@b.co " * 36
    one.event_data.business_context = msgspec.convert(
        {"transaction_context": {"return_context": {"reason": reason}}}, _business_context()
    )
    protected = sealing(one)
    assert event_on_the_log(encode_event(protected)) == protected
    assert sealing.opened(protected) == one


def test_a_blob_opens_for_its_event_tenant_and_subject_only(sealing: Sealing) -> None:
    ann, bob = sealing(event(user_id="ann")), sealing(event(user_id="bob"))
    assert ann.sealed is not None
    assert bob.sealed is not None
    moved = bob.__copy__()
    moved.sealed = ann.sealed
    ours = Subject(ann.sealed.key_id, SubjectCipher(b"k" * 32))  # type: ignore[arg-type]
    with pytest.raises(SealBroken):
        reveal(ann, ours.cipher)
    for field, value in (("tenant_id", "merchant_2"), ("event_metadata", None)):
        other = msgspec.convert(msgspec.to_builtins(ann), Event)
        if value is None:
            other.event_metadata.event_id = msgspec.convert(
                "6f1e2d3c-0a9b-4c8d-9e7f-000000000000", type(other.event_metadata.event_id)
            )
        else:
            setattr(other, field, value)
        cipher = asyncio.run(sealing._instance.vault.open_key(TenantId("merchant_1"), ann.sealed.key_id))
        with pytest.raises(SealBroken):
            reveal(other, cipher)


def test_after_erasure_nobody_reads_it_and_the_next_event_is_somebody_elses(sealing: Sealing) -> None:
    first = sealing(event(user_id="ann"))
    assert first.sealed is not None
    asyncio.run(sealing._instance.vault.erase(TenantId("merchant_1"), first.sealed.key_id))
    with pytest.raises(KeyDestroyed):
        sealing.opened(first)
    assert subject_of(sealing(event(user_id="ann"))) != subject_of(first)


@pytest.mark.parametrize("pointer", ["/no/such/place", "/event_data/user_context/0/x", "/event_metadata/timestamp/x/y"])
def test_an_original_without_a_place_is_an_error(pointer: str) -> None:
    one = event(user_id="ann")
    cipher = SubjectCipher(b"k" * 32)
    blob = cipher.seal(
        TenantId(one.tenant_id), one.event_metadata.event_id.bytes, msgspec.json.encode({"texts": {pointer: "x"}})
    )
    one.sealed = SealedOriginals(key_id="sub_x", blob=blob)
    with pytest.raises(SealBroken):
        reveal(one, cipher)


def test_who_an_event_is_about_is_who_subject_of_says() -> None:
    assert identifiers_of(event(user_id="ann", anonymous_id="c"), NOW) == (user("ann"), visitor("c"))
    assert identifiers_of(event(user_id="", anonymous_id="c"), NOW) == (visitor("c"),)
    assert identifiers_of(event(), NOW) == ("nobody\x0020797",)
