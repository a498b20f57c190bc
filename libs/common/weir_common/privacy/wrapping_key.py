"""AES-256 key wrap (RFC 3394): a key that does nothing but wrap other keys."""

from __future__ import annotations

from typing import Final, NoReturn

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from weir_common.privacy.errors import KeyUnusable

KEY_BYTES: Final = 32
WRAPPED_BYTES: Final = 40
"""A key of 32 bytes and 8 bytes that tell whether it was unwrapped by the right key."""


class WrappingKey:
    """Holds one AES key of 16, 24 or 32 bytes. Shows nothing of it and cannot be pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def wrap(self, key: bytes) -> bytes:
        """The key, wrapped: 8 bytes longer. `ValueError` unless it has 16 bytes or more, in blocks of 8."""
        return aes_key_wrap(self._key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key again. `KeyUnusable` if it was wrapped by another key, or changed."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap:
            raise KeyUnusable("a wrapped key does not open: it was changed or belongs to another key") from None

    def __repr__(self) -> str:
        return "WrappingKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")
