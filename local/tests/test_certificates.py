"""The development CA and what it signs are accepted by OpenSSL's own checks."""

from __future__ import annotations

import datetime
import json
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store
from weir_common.api_keys import is_well_formed
from weir_local import certificates
from weir_local.mesh import Mesh


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_server_certificate_is_valid_for_its_names(mesh: Mesh, name: str) -> None:
    import ipaddress

    pair = certificates.server_certificate(mesh, "gateway", ("localhost",))
    store = Store([_load(certificates.ca(mesh).certificate)])
    subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    chain = PolicyBuilder().store(store).build_server_verifier(subject).verify(_load(pair.certificate), [])
    assert len(chain) == 2
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(pair.certificate, pair.key)
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600


def test_a_client_certificate_is_for_clients_only(mesh: Mesh) -> None:
    pair = certificates.client_certificate(mesh, "internal-client")
    usage = _load(pair.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_everything_is_made_once(mesh: Mesh) -> None:
    first = certificates.server_certificate(mesh, "gateway", ("localhost",)).certificate.read_bytes()
    assert certificates.server_certificate(mesh, "gateway", ("localhost",)).certificate.read_bytes() == first
    assert certificates.bootstrap_key(mesh).read_text() == certificates.bootstrap_key(mesh).read_text()
    assert is_well_formed(certificates.bootstrap_key(mesh).read_text())


def test_what_is_about_to_expire_is_made_anew(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    first = certificates.server_certificate(mesh, "gateway", ("localhost",)).certificate.read_bytes()
    monkeypatch.setattr(certificates, "_RENEW_BEFORE", datetime.timedelta(days=366))
    assert certificates.server_certificate(mesh, "gateway", ("localhost",)).certificate.read_bytes() != first


def test_the_key_set_is_the_public_side_of_the_signing_key(mesh: Mesh) -> None:
    (key,) = json.loads(certificates.jwks(mesh).read_text())["keys"]
    private = serialization.load_pem_private_key(certificates.signing_key(mesh).read_bytes(), None)
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert key["x"] == certificates._base64(public)
    assert "d" not in key
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")
