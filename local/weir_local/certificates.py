"""A development CA and what it signs; made at the first start, valid for a year, kept in ``secrets/ca``.

The CA's key stays in the state directory. A certificate that is about to expire is made anew at the next start.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from weir_common.api_keys import generate_api_key

from weir_local.mesh import Mesh

_YEAR = datetime.timedelta(days=365)
_RENEW_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pair:
    """Certificate (PEM, with no chain: the CA is one step away) and its private key (PEM, PKCS 8)."""

    certificate: Path
    key: Path


def ca(mesh: Mesh, name: str = "ca") -> Pair:
    """The certificate authority called ``name``."""
    folder = mesh.secrets_folder() / "ca"
    folder.mkdir(exist_ok=True, mode=0o700)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}-key.pem")
    if _good(pair):
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Weir development {name}")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    _write(pair, builder.sign(key, SHA256()), key)
    return pair


def server_certificate(mesh: Mesh, name: str, dns_names: tuple[str, ...], *, authority: str = "ca") -> Pair:
    """A server certificate for ``dns_names`` and 127.0.0.1."""
    sans: list[x509.GeneralName] = [x509.DNSName(dns) for dns in dns_names]
    sans.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    return _leaf(mesh, name, authority, sans, ExtendedKeyUsageOID.SERVER_AUTH)


def client_certificate(mesh: Mesh, name: str, *, authority: str = "ca") -> Pair:
    """A client certificate with the common name ``name``."""
    sans: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"spiffe://weir.example/{name}")]
    return _leaf(mesh, name, authority, sans, ExtendedKeyUsageOID.CLIENT_AUTH)


def signing_key(mesh: Mesh) -> Path:
    """The Ed25519 key (PEM) that signs people's tokens; ``jwks`` is its public side."""
    return mesh.secret_file(
        "jwt-signing.pem",
        lambda: ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def jwks(mesh: Mesh) -> Path:
    """The key set (RFC 7517) that the gateway and every service verify tokens with; the key id is its RFC 7638 thumbprint."""

    def make() -> bytes:
        key = serialization.load_pem_private_key(signing_key(mesh).read_bytes(), None)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise TypeError(f"{signing_key(mesh)} is no Ed25519 key")
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64(raw)}
        return json.dumps({"keys": [{**jwk, "alg": "EdDSA", "use": "sig", "kid": thumbprint(jwk)}]}).encode()

    return mesh.secret_file("jwks.json", make)


def thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638: SHA-256 over the required members in lexicographic order."""
    return _base64(sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def bootstrap_key(mesh: Mesh) -> Path:
    """The first operator's API key."""
    return mesh.secret_file("operator-api-key", lambda: generate_api_key().encode())


def exports_key(mesh: Mesh) -> Path:
    """32 random bytes that wrap the keys of exports."""
    return mesh.secret_file("exports.key", lambda: secrets.token_bytes(32))


def privacy_key(mesh: Mesh) -> Path:
    """32 random bytes: the root of the keys that seal personal data."""
    return mesh.secret_file("privacy.key", lambda: secrets.token_bytes(32))


def _leaf(mesh: Mesh, name: str, authority: str, sans: list[x509.GeneralName], usage: x509.ObjectIdentifier) -> Pair:
    issuer = ca(mesh, authority)
    folder = mesh.secrets_folder() / "ca"
    pair = Pair(folder / f"{name}.pem", folder / f"{name}-key.pem")
    if _good(pair):
        return pair
    ca_certificate = x509.load_pem_x509_certificate(issuer.certificate.read_bytes())
    ca_key = serialization.load_pem_private_key(issuer.key.read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{issuer.key} is no EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), ca_certificate.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    _write(pair, builder.sign(ca_key, SHA256()), key)
    return pair


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _YEAR)
    )


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pair.key.touch(mode=0o600)
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _good(pair: Pair) -> bool:
    if not (pair.certificate.exists() and pair.key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    return certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > _RENEW_BEFORE


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
