"""Who calls: and that a service which does not know yet never says that a key is bad."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from weir_common.api_keys import generate_api_key, hash_api_key
from weir_common.auth import PERMISSIONS, Action, Authenticator, Role, TokenVerifier
from weir_common.credentials import CredentialDirectory, CredentialRecord, TenantRecord
from weir_common.problems import Unauthenticated, Unavailable
from weir_common.settings import AuthSettings, KafkaSettings


@pytest.fixture
def directory() -> CredentialDirectory:
    return CredentialDirectory(KafkaSettings(bootstrap_servers="nowhere:1"))


@pytest.fixture
def authenticator(directory: CredentialDirectory) -> Authenticator:
    return Authenticator(directory, TokenVerifier(AuthSettings(jwks_path=Path("/nowhere"))))


def tell(directory: CredentialDirectory, key: str) -> None:
    records = (
        (b"tenant:shop", TenantRecord("shop", "Shop")),
        (f"key:{hash_api_key(key)}".encode(), CredentialRecord(hash_api_key(key), "k1", "shop", ["ingest"])),
    )
    for name, record in records:
        directory.apply(name, msgspec.json.encode(record))


def test_a_known_key_is_taken_even_before_all_are_known(
    directory: CredentialDirectory, authenticator: Authenticator
) -> None:
    key = generate_api_key()
    tell(directory, key)
    assert authenticator.authenticate(api_key=key, authorization=None).tenant_id == "shop"


def test_an_unknown_key_is_bad_only_when_all_are_known(
    directory: CredentialDirectory, authenticator: Authenticator
) -> None:
    key = generate_api_key()
    with pytest.raises(Unavailable) as caught:
        authenticator.authenticate(api_key=key, authorization=None)
    assert caught.value.headers["Retry-After"] == "1"
    directory._caught_up = True
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(api_key=key, authorization=None)


def test_a_malformed_key_is_bad_at_once(authenticator: Authenticator) -> None:
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(api_key="weir_live_nonsense", authorization=None)


@pytest.mark.parametrize(
    ("action", "roles"),
    [
        (
            Action.FRAUD_LABEL,
            {Role.OWNER, Role.ADMIN, Role.FRAUD_ANALYST, Role.OPERATOR, Role.INGEST},
        ),
        (
            Action.FRAUD_CASES_READ,
            {Role.OWNER, Role.ADMIN, Role.FRAUD_ANALYST, Role.OPERATOR, Role.AUDITOR},
        ),
        (Action.FRAUD_CASES_WORK, {Role.OWNER, Role.ADMIN, Role.FRAUD_ANALYST, Role.OPERATOR}),
    ],
)
def test_who_labels_payments_and_works_on_cases(action: Action, roles: set[Role]) -> None:
    """A machine that sends payments hears of chargebacks, but reads no analyst's notes."""
    assert {role for role, allowed in PERMISSIONS.items() if action in allowed} == roles
