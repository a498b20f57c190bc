"""Keys do what the standards say, open nothing else, and show themselves nowhere."""

from __future__ import annotations

import copy
import hashlib
import hmac
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.errors import KeyUnusable, SealBroken
from weir_common.privacy.keyed_hash import KeyedHash
from weir_common.privacy.link_tokens import NAMESPACES, LinkTokens
from weir_common.privacy.ports import Subject, SubjectRecord, WrappedTenantKey
from weir_common.privacy.root_key import RootKey, read_root_key
from weir_common.privacy.subject_cipher import SubjectCipher
from weir_common.privacy.wrapping_key import WRAPPED_BYTES, WrappingKey

TENANT = TenantId("shop")
EVENT = bytes(range(16))

# RFC 3394, section 4: key, key data, ciphertext.
RFC_3394 = [
    (
        "000102030405060708090A0B0C0D0E0F",
        "00112233445566778899AABBCCDDEEFF",
        "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
    ),
    (
        "000102030405060708090A0B0C0D0E0F1011121314151617",
        "00112233445566778899AABBCCDDEEFF",
        "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF",
        "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF0001020304050607",
        "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
        "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
    ),
]


@pytest.mark.parametrize(("key", "data", "wrapped"), RFC_3394)
def test_wrapping_gives_what_rfc_3394_says(key: str, data: str, wrapped: str) -> None:
    wrapping = WrappingKey(bytes.fromhex(key))
    assert wrapping.wrap(bytes.fromhex(data)) == bytes.fromhex(wrapped)
    assert wrapping.unwrap(bytes.fromhex(wrapped)) == bytes.fromhex(data)


def test_a_wrapped_key_opens_under_its_own_key_only() -> None:
    wrapped = WrappingKey(b"a" * 32).wrap(b"k" * 32)
    assert len(wrapped) == WRAPPED_BYTES
    changed = bytes([wrapped[0] ^ 1]) + wrapped[1:]
    for key, text in ((b"b" * 32, wrapped), (b"a" * 32, changed), (b"a" * 32, wrapped[:-8]), (b"a" * 32, b"")):
        with pytest.raises(KeyUnusable):
            WrappingKey(key).unwrap(text)


def test_a_tenants_key_opens_for_its_tenant_and_epoch_under_its_root_only() -> None:
    root = RootKey(b"r" * 32)
    wrapped = root.wrapping_key(TENANT, 7).wrap(b"k" * 32)
    assert RootKey(b"r" * 32).wrapping_key(TENANT, 7).unwrap(wrapped) == b"k" * 32
    others = [(root, "shop2", 7), (root, "shop", 8), (root, "shop\x001", 7), (RootKey(b"s" * 32), "shop", 7)]
    for other, tenant, epoch in others:
        with pytest.raises(KeyUnusable):
            other.wrapping_key(TenantId(tenant), epoch).unwrap(wrapped)


def test_opening_gives_what_the_gcm_specification_says() -> None:
    """McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test case 14: a zero key and nonce, 16 zero bytes."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919")
    assert AESGCM(bytes(32)).encrypt(bytes(12), bytes(16), None) == sealed


def test_a_sealed_text_is_version_nonce_and_gcm_bound_to_tenant_and_event() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = bytes(range(32))
    sealed = SubjectCipher(key).seal(TENANT, EVENT, b"text")
    assert sealed[:1] == b"\x01"
    assert AESGCM(key).decrypt(sealed[1:13], sealed[13:], b"shop\0" + EVENT) == b"text"
    nonce = bytes(range(12))
    ours = b"\x01" + nonce + AESGCM(key).encrypt(nonce, b"text", b"shop\0" + EVENT)
    assert SubjectCipher(key).open(TENANT, EVENT, ours) == b"text"


def test_a_text_is_never_sealed_twice_the_same() -> None:
    cipher = SubjectCipher(b"k" * 32)
    assert len({cipher.seal(TENANT, EVENT, b"text")[1:13] for _ in range(200)}) == 200


def test_a_sealed_text_opens_nowhere_else() -> None:
    cipher = SubjectCipher(b"k" * 32)
    sealed = cipher.seal(TENANT, EVENT, b"text")
    assert cipher.open(TENANT, EVENT, sealed) == b"text"
    attempts: list[tuple[SubjectCipher, str, bytes, bytes]] = [
        (SubjectCipher(b"l" * 32), "shop", EVENT, sealed),
        (cipher, "shop2", EVENT, sealed),
        (cipher, "shop", EVENT[::-1], sealed),
        (cipher, "", b"shop\0" + EVENT, sealed),
        (cipher, "shop", EVENT, b"\x02" + sealed[1:]),
        (cipher, "shop", EVENT, sealed[:20]),
        (cipher, "shop", EVENT, b""),
        *((cipher, "shop", EVENT, _flipped(sealed, at)) for at in range(len(sealed))),
    ]
    for other, tenant, event, text in attempts:
        with pytest.raises(SealBroken):
            other.open(TenantId(tenant), event, text)


def _flipped(text: bytes, at: int) -> bytes:
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]


@pytest.mark.parametrize("key", [bytes(16), b"k" * 32, bytes(range(64))])
@pytest.mark.parametrize("text", [b"", b"x", b"y" * 63, b"z" * 64, b"long" * 100])
def test_a_keyed_hash_is_hmac(key: bytes, text: bytes) -> None:
    keyed = KeyedHash(key)
    assert keyed.digest(text) == keyed.digest(text) == hmac.digest(key, text, hashlib.sha256)


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 65])
def test_a_hash_key_has_a_sensible_length(key: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        KeyedHash(key)


def test_a_token_is_a_truncated_hmac_with_its_namespace_before_it() -> None:
    import base64

    keys: Any = {namespace: namespace.encode().ljust(32) for namespace in NAMESPACES}
    made = LinkTokens(keys, 3).of["device"]("Gerät")
    digest = hmac.digest(b"device".ljust(32), "Gerät".encode(), hashlib.sha256)[:16]
    assert made == "dev_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    with pytest.raises(KeyError):
        LinkTokens({"device": b"k" * 32}, 3)


def test_a_root_key_is_32_bytes_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "root.key"
    file.write_bytes(b"r" * 32)
    assert read_root_key(file).wrapping_key(TENANT, 1)
    for content in (b"", b"verysecret", b"verysecret" * 4):
        file.write_bytes(content)
        with pytest.raises(KeyUnusable, match="32 bytes") as caught:
            read_root_key(file)
        assert "verysecret" not in str(caught.value)
    with pytest.raises(KeyUnusable, match="cannot be read"):
        read_root_key(tmp_path / "none")


def test_no_key_shows_itself() -> None:
    key = os.urandom(32)
    tokens: Any = dict.fromkeys(NAMESPACES, key)
    shown = [
        RootKey(key),
        WrappingKey(key),
        KeyedHash(key),
        SubjectCipher(key),
        Subject(SubjectId("sub_x"), SubjectCipher(key)),
        LinkTokens(tokens, 1),
        SubjectRecord(b"i" * 32, SubjectId("sub_x"), 1, key),
        WrappedTenantKey("card", 1, 1, key),
    ]
    for one in shown:
        text = f"{one!r} {one}"
        assert repr(key)[2:-1] not in text
        assert key.hex() not in text
    for one in shown[:4]:
        for taken in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="pickled"):
                taken(one)
