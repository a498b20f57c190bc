"""EdDSA tokens (RFC 8037) with the key id under which the JWKS file shows the public half."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from weir_common.errors import StopError


class JsonWebKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of an Ed25519 public key (RFC 8037); nothing else of the file is read or shown."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str = "EdDSA"
    use: str = "sig"


class JsonWebKeySet(msgspec.Struct, frozen=True):
    """RFC 7517."""

    keys: list[JsonWebKey]


_decoder = msgspec.json.Decoder(JsonWebKeySet)


def read_key_set(path: Path) -> JsonWebKeySet:
    """The public keys of the file; ``StopError`` if it cannot be read or holds a private part."""
    try:
        text = path.read_bytes()
        key_set = _decoder.decode(text)
    except (OSError, msgspec.DecodeError) as error:
        raise StopError(f"no key set at {path}: {error}") from error
    if b'"d"' in text:
        raise StopError(f"the key set at {path} holds a private key; it must hold public keys only")
    return key_set


class Ed25519TokenSigner:
    """Signs with one private key."""

    def __init__(self, private_key: Ed25519PrivateKey, key_id: str) -> None:
        self._private_key = private_key
        self.key_id = key_id

    @classmethod
    def load(cls, signing_key_path: Path, jwks_path: Path) -> Ed25519TokenSigner:
        """``StopError`` unless the file is an Ed25519 key whose public half is in the key set: nobody could verify it."""
        try:
            private_key = load_pem_private_key(signing_key_path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise StopError(f"no signing key at {signing_key_path}: {error}") from error
        if not isinstance(private_key, Ed25519PrivateKey):
            raise StopError(f"the signing key at {signing_key_path} is not Ed25519")
        raw = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        public = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        for key in read_key_set(jwks_path).keys:
            if key.x == public:
                return cls(private_key, key.kid)
        raise StopError(
            f"the public half of {signing_key_path} is not in {jwks_path}: no service would accept its tokens"
        )

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS."""
        return jwt.encode(claims, self._private_key, algorithm="EdDSA", headers={"kid": self.key_id})
