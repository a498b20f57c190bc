"""Seals the texts of refused events: AES-256-GCM under a key of each tenant, derived from the root key.

A tenant's key seals few texts (nonces are random; the bound is 2**32 a key), and only for the weeks of the quarantine.
"""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from weir_common.errors import StopError
from weir_common.ids import TenantId

KEY_BYTES = 32
_NONCE_BYTES = 12
_TENANTS = 1_024


class QuarantineSeal:
    """See ``Seal``. ``root``: 32 bytes; raises ``ValueError`` for another length."""

    def __init__(self, root: bytes) -> None:
        if len(root) != KEY_BYTES:
            raise ValueError(f"the root key has {KEY_BYTES} bytes, not {len(root)}")
        self._root = root
        self._key = lru_cache(maxsize=_TENANTS)(self._derive)

    def __repr__(self) -> str:
        return "QuarantineSeal(…)"

    def fingerprint(self, tenant_id: TenantId, text: bytes) -> bytes:
        """See ``Seal.fingerprint``."""
        return digest(self._key("fingerprint", tenant_id), text, sha256)

    def index(self, tenant_id: TenantId, subject: str) -> bytes:
        """See ``Seal.index``."""
        return digest(self._key("subject", tenant_id), subject.encode("utf-8", "surrogatepass"), sha256)

    def close(self, tenant_id: TenantId, quarantine_id: UUID, text: bytes) -> bytes:
        """See ``Seal.close``: nonce, then ciphertext with its tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key("seal", tenant_id)).encrypt(nonce, text, _bound_to(tenant_id, quarantine_id))

    def open(self, tenant_id: TenantId, quarantine_id: UUID, sealed: bytes) -> bytes:
        """See ``Seal.open``."""
        nonce, closed = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(self._key("seal", tenant_id)).decrypt(nonce, closed, _bound_to(tenant_id, quarantine_id))
        except (InvalidTag, ValueError) as error:
            raise StopError(f"the text of {quarantine_id} does not open: was the root key changed?") from error

    def _derive(self, use: str, tenant_id: TenantId) -> bytes:
        info = f"weir/quarantine/{use}\0{tenant_id}".encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._root)


def root_key(path: Path) -> bytes:
    """The key in a file of 32 bytes. ``StopError`` if there is none."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise StopError(f"no root key at {path}: {error}") from error
    if len(key) != KEY_BYTES:
        raise StopError(f"the root key at {path} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def _bound_to(tenant_id: TenantId, quarantine_id: UUID) -> bytes:
    return tenant_id.encode() + b"\0" + quarantine_id.bytes
