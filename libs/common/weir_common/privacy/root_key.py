"""The root key: 32 bytes in a file outside every backup. It wraps the tenants' keys and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyUnusable
from weir_common.privacy.wrapping_key import KEY_BYTES, WrappingKey


class RootKey:
    """One root key. Shows nothing of it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise KeyUnusable(f"a root key has {KEY_BYTES} bytes, this one {len(secret)}")
        self._secret = secret

    def wrapping_key(self, tenant_id: TenantId, epoch: int) -> WrappingKey:
        """What wraps the tenant's key of an epoch.

        Derived (HKDF-SHA-256, RFC 5869) for this tenant and epoch, because AES-KW authenticates no context: a wrapped key
        that is moved to another tenant's or epoch's row then does not open.
        """
        info = b"weir tenant kek v1\0" + tenant_id.encode() + b"\0" + str(epoch).encode()
        return WrappingKey(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._secret))

    def __repr__(self) -> str:
        return "RootKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


def read_root_key(path: Path) -> RootKey:
    """The root key of a file. `KeyUnusable` says what is wrong without showing what is in it."""
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"the root key file {path} cannot be read: {type(error).__name__}") from None
    return RootKey(secret)
