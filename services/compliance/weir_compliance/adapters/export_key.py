"""The export key and what is derived from it.

The key file is either one key as 32 raw bytes, or one key a line in base64, the current one first: older ones still
open what they sealed. From each key, HKDF-SHA-256 derives one key per purpose and tenant, so that no AES-GCM key is
shared by tenants and one ciphertext is no use elsewhere.

A sealed value is: 1 byte version, 8 bytes key id (start of SHA-256 of the key), 12 bytes nonce, ciphertext with tag.
The context (for instance the request id) is authenticated, so a value moved to another row does not open.
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from weir_compliance.errors import KeyUnavailableError

KEY_BYTES = 32
_VERSION = 1
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + _KEY_ID_BYTES + _NONCE_BYTES


@dataclass(frozen=True, slots=True, repr=False)
class ExportKey:
    """One root key. `key_id` is public."""

    key_id: bytes
    secret: bytes

    @classmethod
    def of(cls, secret: bytes) -> "ExportKey":
        if len(secret) != KEY_BYTES:
            raise KeyUnavailableError(f"an export key has {KEY_BYTES} bytes")
        return cls(hashlib.sha256(b"weir export key id\x00" + secret).digest()[:_KEY_ID_BYTES], secret)


class ExportKeyRing:
    """Seals and opens under the root keys. Not safe to print: it has no repr of its contents."""

    def __init__(self, keys: list[ExportKey]) -> None:
        if not keys:
            raise KeyUnavailableError("the export key file holds no key")
        self._current = keys[0]
        self._by_id = {key.key_id: key for key in keys}
        self._derived = lru_cache(maxsize=4096)(self._derive)

    def seal(self, purpose: str, tenant_id: str, context: bytes, plaintext: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        header = bytes([_VERSION]) + self._current.key_id + nonce
        cipher = AESGCM(self._derived(self._current.key_id, purpose, tenant_id))
        return header + cipher.encrypt(nonce, plaintext, header + context)

    def open(self, purpose: str, tenant_id: str, context: bytes, sealed: bytes) -> bytes:
        """KeyUnavailable if the value is damaged, was sealed for another place, or its key is gone."""
        header, body = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(header) < _HEADER_BYTES or header[0] != _VERSION:
            raise KeyUnavailableError("not a sealed value of a known version")
        key_id, nonce = header[1 : 1 + _KEY_ID_BYTES], header[1 + _KEY_ID_BYTES :]
        cipher = AESGCM(self._derived(key_id, purpose, tenant_id))
        try:
            return cipher.decrypt(nonce, body, header + context)
        except InvalidTag:
            raise KeyUnavailableError(
                "a sealed value does not open: it was changed or belongs to another place"
            ) from None

    def index_keys(self, tenant_id: str) -> list[bytes]:
        """The tenant's blind index keys, the current one first: write with it, search with all."""
        ids = [self._current.key_id, *(key_id for key_id in self._by_id if key_id != self._current.key_id)]
        return [self._derived(key_id, "subject-index", tenant_id) for key_id in ids]

    def _derive(self, key_id: bytes, purpose: str, tenant_id: str) -> bytes:
        key = self._by_id.get(key_id)
        if key is None:
            raise KeyUnavailableError(f"the export key {key_id.hex()} is not in the key file")
        info = purpose.encode() + b"\x00" + tenant_id.encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=b"weir compliance v1", info=info).derive(key.secret)


def read_export_keys(path: Path) -> ExportKeyRing:
    """The keys of the file. KeyUnavailableError says what is wrong without showing what is in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyUnavailableError(f"the export key file {path} cannot be read: {type(error).__name__}") from None
    if len(content) == KEY_BYTES:
        return ExportKeyRing([ExportKey.of(content)])
    keys = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            keys.append(ExportKey.of(base64.b64decode(line.strip(), validate=True)))
        except (binascii.Error, KeyUnavailableError):
            raise KeyUnavailableError(f"line {number} of {path} is not {KEY_BYTES} bytes in base64") from None
    return ExportKeyRing(keys)


def new_export_key() -> str:
    """A line for the key file."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode() + "\n"
