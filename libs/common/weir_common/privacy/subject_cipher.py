"""Sealing under one subject's key: AES-256-GCM, bound to the tenant and the event."""

from __future__ import annotations

import os
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from weir_common.ids import TenantId
from weir_common.privacy.errors import SealBroken

VERSION: Final = b"\x01"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_HEADER_BYTES: Final = len(VERSION) + NONCE_BYTES


class SubjectCipher:
    """One subject's key, 32 bytes. A sealed text is 1 byte version, 12 bytes nonce, ciphertext, 16 bytes tag.

    Nonces are random, so a key may seal 2³² texts (NIST SP 800-38D, section 8.3); no subject gets near.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, tenant_id: TenantId, event_id: bytes, plaintext: bytes) -> bytes:
        """The sealed text; ``event_id`` are the 16 bytes of the event's UUID."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._aead.encrypt(nonce, plaintext, _bound_to(tenant_id, event_id))

    def open(self, tenant_id: TenantId, event_id: bytes, sealed: bytes) -> bytes:
        """The plaintext. `SealBroken` if it was sealed for another event, tenant or subject, or changed."""
        if sealed[:1] != VERSION or len(sealed) < _HEADER_BYTES + TAG_BYTES:
            raise SealBroken("not a sealed text of a known version")
        nonce, ciphertext = sealed[1:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        try:
            return self._aead.decrypt(nonce, ciphertext, _bound_to(tenant_id, event_id))
        except InvalidTag:
            raise SealBroken("a sealed text does not open: it was changed, or belongs elsewhere") from None

    def __repr__(self) -> str:
        return "SubjectCipher(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


def _bound_to(tenant_id: TenantId, event_id: bytes) -> bytes:
    # A tenant's name has no NUL, so no two pairs give the same bytes.
    return tenant_id.encode() + b"\0" + event_id
