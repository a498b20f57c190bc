"""Link tokens: the same device, card, address, network or session is the same short text, for one tenant and one period.

Each namespace has a key of its own in each period (`periods`). Once a key is destroyed nobody can make or test its tokens again,
so traces of an erased person can be linked no longer than that.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, get_args

from weir_common.events.privacy import Namespace
from weir_common.privacy.keyed_hash import KeyedHash

TOKEN_BYTES: Final = 16
NAMESPACES: Final[tuple[Namespace, ...]] = get_args(Namespace)
PREFIXES: Final[Mapping[Namespace, str]] = MappingProxyType(
    {"device": "dev_", "card": "card_", "address": "addr_", "ip": "ip_", "session": "ses_"}
)
MAX_TOKEN_CHARACTERS: Final = 22 + max(map(len, PREFIXES.values()))
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class LinkTokens:
    """The tokens of one tenant in one period. ``of[namespace]`` makes the token of a text."""

    __slots__ = ("of", "period")

    def __init__(self, keys: Mapping[Namespace, bytes], period: int) -> None:
        """One key of 32 bytes a namespace; `KeyError` if one is missing."""
        self.period = period
        self.of: Mapping[Namespace, Callable[[str], str]] = {
            namespace: _maker(PREFIXES[namespace], keys[namespace]) for namespace in NAMESPACES
        }

    def __repr__(self) -> str:
        return f"LinkTokens(period={self.period})"


def _maker(prefix: str, key: bytes) -> Callable[[str], str]:
    keyed = KeyedHash(key)

    # Six of these an event: names are bound here, which is a tenth of the time.
    def token(
        value: str, keyed: Callable[[bytes], bytes] = keyed.digest, to_base64: Callable[..., bytes] = b2a_base64
    ) -> str:
        text = to_base64(keyed(value.encode())[:TOKEN_BYTES], newline=False)
        return prefix + text.translate(_URL_SAFE, b"=\n").decode()

    return token
