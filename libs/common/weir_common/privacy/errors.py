"""The errors of privacy; none shows a key, an identifier or a plaintext.

WeirError
 ├─ RetryError
 │   └─ VaultUnavailable    the vault does not answer: nothing was sealed, send the event again
 ├─ QuarantineError
 │   └─ SealBroken          a blob that its key does not open: changed, or moved to another event or tenant
 ├─ KeyDestroyed            the key was erased or destroyed (or never was): what it sealed cannot be read again
 └─ StopError
     └─ KeyUnusable         the root key or a wrapped key is not what it should be: go on with nothing
"""

from __future__ import annotations

from weir_common.errors import QuarantineError, RetryError, StopError, WeirError


class VaultUnavailable(RetryError):
    """The vault's database did not answer in time."""


class SealBroken(QuarantineError):
    """A blob does not open under this key, tenant and event."""

    def __init__(self, detail: str) -> None:
        super().__init__("seal_broken", detail)


class KeyDestroyed(WeirError):
    """There is no such key any more, or there never was; both look the same, so that erasure leaves no trace."""


class KeyUnusable(StopError):
    """A key file or a wrapped key is damaged, or belongs to another root key, tenant or epoch."""
