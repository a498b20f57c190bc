"""Every way in which a store may have written a value."""

from __future__ import annotations

import base64
import json
import struct
import uuid
from urllib.parse import quote

import pytest
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.spellings import spellings

VALUE = "O'Ada+x7@müller.example/ä"


def seen(value: str, data: bytes, **options: bool) -> bool:
    return bool(Matcher([Planted("one", value)], **options).matches(data))


@pytest.mark.parametrize(
    "written",
    [
        VALUE.encode(),
        VALUE.lower().encode(),
        VALUE.upper().encode(),
        json.dumps({"a": VALUE}).encode(),
        json.dumps({"a": VALUE}, ensure_ascii=False).replace("/", "\\/").encode(),
        json.dumps(json.dumps({"a": VALUE})).encode(),
        b"?q=" + quote(VALUE, safe="").encode(),
        b"?q=" + quote(VALUE, safe="").lower().encode(),
        b"?q=" + quote(quote(VALUE, safe=""), safe="").encode(),
        VALUE.encode().hex().encode(),
        VALUE.encode().hex().upper().encode(),
        VALUE.encode("utf-16-le"),
        VALUE.encode("utf-16-be"),
    ],
)
def test_a_value_is_seen_however_it_is_written(written: bytes) -> None:
    assert seen(VALUE, b"before " + written + b" after")


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("after", ["", "y", "yy"])
def test_a_value_is_seen_inside_of_base64_at_every_alignment(shift: int, after: str) -> None:
    text = "x" * shift + VALUE + after
    assert seen(VALUE, base64.b64encode(text.encode()))
    assert seen(VALUE, base64.urlsafe_b64encode(text.encode()))
    assert seen(VALUE, base64.b64encode(text.lower().encode()))


def test_digits_of_a_telephone_and_a_card_are_seen_without_their_separators() -> None:
    assert seen("+49 151 2345-6789", b'{"msisdn":"4915123456789"}')
    assert seen("4111-1111-1111-1111", b"4111111111111111")


def test_numbers_identifiers_and_addresses_are_seen_as_bytes() -> None:
    assert seen("52.5200661", struct.pack("<d", 52.5200661))
    assert seen("52.5200661", struct.pack(">d", 52.5200661))
    identifier = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
    assert seen(identifier, uuid.UUID(identifier).bytes)
    assert seen(identifier, uuid.UUID(identifier).hex.encode())
    assert seen("2001:db8::1234:5678", b"2001:0db8:0000:0000:0000:0000:1234:5678")


def test_an_unkeyed_digest_is_seen_only_when_it_is_asked_for() -> None:
    digest = spellings(VALUE, hashed=True).keys() - spellings(VALUE).keys()
    assert {len(one) for one in digest} == {16, 20, 32, 64, 40, 128}
    assert not seen(VALUE, min(digest))
    assert seen(VALUE, min(digest), hashed=True)


def test_nothing_is_seen_in_what_is_sealed() -> None:
    sealed = bytes(byte ^ 0x5A for byte in VALUE.encode())
    assert not seen(VALUE, sealed + base64.b64encode(sealed) + sealed.hex().encode())


def test_no_spelling_is_so_short_that_chance_finds_it() -> None:
    assert min(map(len, spellings("a@b.de"))) >= 6
