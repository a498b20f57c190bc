"""Tenants, keys and tokens through their use cases."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from weir_common.api_keys import generate_api_key, hash_api_key, is_well_formed
from weir_common.auth import Role
from weir_common.credentials import CredentialDirectory
from weir_common.errors import StopError
from weir_common.ids import TenantId
from weir_common.kafka.topics import AUDIT, TENANTS
from weir_common.problems import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from weir_common.settings import AuthSettings, KafkaSettings
from weir_tenant_admin.bootstrap_operator import bootstrap_operator
from weir_tenant_admin.create_tenant import CreateTenant, TenantCreation
from weir_tenant_admin.domain.tenant import Isolation, Tier, Vertical
from weir_tenant_admin.exchange_key import KeyExchange
from weir_tenant_admin.issue_key import IssueKey, KeyIssue
from weir_tenant_admin.mint_person_token import MintPersonToken, PersonTokenMint
from weir_tenant_admin.revoke_key import KeyRevocation

ACME = TenantId("acme")


@pytest.fixture
def auth(tmp_path):
    return AuthSettings(jwks_path=tmp_path / "jwks.json")


@pytest.fixture
async def acme(memory_store, clock, operator):
    create = TenantCreation(memory_store, clock, lambda: None)
    return await create(
        CreateTenant(tenant_id=ACME, name="Acme", tier=Tier.PREMIUM, vertical=Vertical.GROCERY), operator
    )


def directory_after(records) -> CredentialDirectory:
    """What a service knows once it has read these records of the topic."""
    directory = CredentialDirectory(KafkaSettings(bootstrap_servers="unused:1"))
    for record in records:
        if record.topic == TENANTS:
            directory.apply(record.key, record.value)
    return directory


async def test_a_new_tenant_is_told_to_every_service_and_to_the_audit_log(memory_store, acme):
    assert acme.isolation is Isolation.BRIDGE
    assert acme.quota_events_per_second == 5_000
    assert [record.topic for record in memory_store.sent] == [TENANTS, AUDIT]
    known = directory_after(memory_store.sent).tenant(ACME)
    assert known is not None
    assert (known.tier, known.plan, known.vertical, known.status) == ("premium", "bridge", "grocery", "active")


async def test_a_taken_id_is_refused_and_nothing_is_sent(memory_store, clock, operator, acme):
    sent = len(memory_store.sent)
    with pytest.raises(Conflict):
        await TenantCreation(memory_store, clock, lambda: None)(
            CreateTenant(tenant_id=ACME, name="Other", tier=Tier.TRIAL, vertical=Vertical.FASHION), operator
        )
    assert len(memory_store.sent) == sent


async def test_only_operators_create_tenants(memory_store, clock, owner_of):
    with pytest.raises(Forbidden):
        await TenantCreation(memory_store, clock, lambda: None)(
            CreateTenant(tenant_id=ACME, name="Acme", tier=Tier.TRIAL, vertical=Vertical.FASHION), owner_of("acme")
        )


async def test_an_issued_key_opens_the_door_and_a_revoked_one_does_not(memory_store, clock, operator, acme):
    issued = await KeyIssue(memory_store, clock, lambda: None)(
        IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator
    )
    assert is_well_formed(issued.secret)
    key_hash = hash_api_key(issued.secret)
    record = directory_after(memory_store.sent).find(key_hash)
    assert record is not None
    assert (record.tenant_id, record.roles) == ("acme", ["ingest"])

    await KeyRevocation(memory_store, clock, lambda: None)(ACME, issued.stored.key_id, operator)
    assert directory_after(memory_store.sent).find(key_hash) is None


async def test_no_secret_is_stored_or_sent(memory_store, clock, operator, acme):
    issued = await KeyIssue(memory_store, clock, lambda: None)(
        IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator
    )
    written = repr(await memory_store.keys(ACME)) + repr(memory_store.sent)
    assert issued.secret not in written
    assert issued.stored.hint == f"{issued.secret[:10]}…{issued.secret[-4:]}"


async def test_a_client_has_at_most_two_live_keys(memory_store, clock, operator, acme):
    issue = KeyIssue(memory_store, clock, lambda: None)
    soon = clock() + timedelta(minutes=5)
    await issue(IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,), expires_at=soon), operator)
    second = await issue(IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator)
    with pytest.raises(Conflict):
        await issue(IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator)
    await issue(IssueKey(tenant_id=ACME, client="back-office", roles=(Role.ANALYST,)), operator)

    clock.advance(minutes=6)  # the first is expired now
    await issue(IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator)
    await KeyRevocation(memory_store, clock, lambda: None)(ACME, second.stored.key_id, operator)
    await issue(IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST,)), operator)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ((Role.OWNER,), Role.OPERATOR),
        ((Role.OWNER,), Role.SUPPORT),
        ((Role.ADMIN,), Role.OWNER),
        ((Role.ADMIN,), Role.PRIVACY_OFFICER),
        ((Role.ADMIN,), Role.AUDITOR),
        ((Role.ANALYST,), Role.ANALYST),
    ],
)
async def test_nobody_gives_more_than_he_may(memory_store, clock, owner_of, acme, held, wanted):
    with pytest.raises(Forbidden):
        await KeyIssue(memory_store, clock, lambda: None)(
            IssueKey(tenant_id=ACME, client="x", roles=(wanted,)), owner_of("acme", *held)
        )


async def test_not_even_an_operator_makes_a_tenants_key_an_operators(memory_store, clock, operator, acme):
    with pytest.raises(Forbidden):
        await KeyIssue(memory_store, clock, lambda: None)(
            IssueKey(tenant_id=ACME, client="x", roles=(Role.OPERATOR,)), operator
        )


async def test_a_key_that_would_be_born_expired_is_refused_with_a_pointer(memory_store, clock, operator, acme):
    with pytest.raises(InvalidRequest) as caught:
        await KeyIssue(memory_store, clock, lambda: None)(
            IssueKey(tenant_id=ACME, client="x", roles=(Role.INGEST,), expires_at=clock()), operator
        )
    assert caught.value.errors[0].pointer == "/expires_at"


async def test_keys_of_nobody(memory_store, clock, operator):
    with pytest.raises(NotFound):
        await KeyIssue(memory_store, clock, lambda: None)(
            IssueKey(tenant_id=ACME, client="x", roles=(Role.INGEST,)), operator
        )


async def test_the_exchange_gives_a_ten_minute_token_of_the_keys_tenant(
    memory_store, clock, signer, operator, acme, auth
):
    issued = await KeyIssue(memory_store, clock, lambda: None)(
        IssueKey(tenant_id=ACME, client="till", roles=(Role.INGEST, Role.ANALYST)), operator
    )
    token = await KeyExchange(memory_store, signer, auth, clock)(issued.secret)
    (claims,) = signer.signed
    now = int(clock().timestamp())
    assert token.expires_in == 600
    assert claims["tenant"] == "acme"
    assert claims["roles"] == ["analyst", "ingest"]
    assert (claims["iss"], claims["aud"]) == (auth.issuer, auth.audience)
    assert (claims["iat"], claims["exp"]) == (now, now + 600)
    assert claims["sub"] == f"key:{issued.stored.key_id}"
    (key,) = await memory_store.keys(ACME)
    assert key.last_used_at == clock().replace(second=0, microsecond=0)


async def test_a_token_does_not_outlive_its_key(memory_store, clock, signer, operator, acme, auth):
    issued = await KeyIssue(memory_store, clock, lambda: None)(
        IssueKey(tenant_id=ACME, client="x", roles=(Role.INGEST,), expires_at=clock() + timedelta(seconds=90)), operator
    )
    assert (await KeyExchange(memory_store, signer, auth, clock)(issued.secret)).expires_in == 90


async def test_every_refused_key_looks_the_same(memory_store, clock, signer, operator, acme, auth):
    issue = KeyIssue(memory_store, clock, lambda: None)
    revoked = await issue(IssueKey(tenant_id=ACME, client="a", roles=(Role.INGEST,)), operator)
    await KeyRevocation(memory_store, clock, lambda: None)(ACME, revoked.stored.key_id, operator)
    expired = await issue(
        IssueKey(tenant_id=ACME, client="b", roles=(Role.INGEST,), expires_at=clock() + timedelta(seconds=1)), operator
    )
    clock.advance(seconds=2)
    exchange = KeyExchange(memory_store, signer, auth, clock)
    told = set()
    for secret in (revoked.secret, expired.secret, generate_api_key()):
        with pytest.raises(Unauthenticated) as caught:
            await exchange(secret)
        told.add(str(caught.value))
    assert len(told) == 1
    assert not signer.signed


async def test_a_mistyped_key_is_told_as_such_before_any_look_up(memory_store, clock, signer, auth):
    key = generate_api_key()
    typo = key[:-1] + ("a" if key[-1] != "a" else "b")
    with pytest.raises(Unauthenticated, match="checksum"):
        await KeyExchange(memory_store, signer, auth, clock)(typo)


async def test_owners_and_operators_mint_tokens_for_people(memory_store, clock, signer, operator, owner_of, acme, auth):
    mint = PersonTokenMint(memory_store, signer, auth, clock, lambda: None)
    command = MintPersonToken(tenant_id=ACME, subject="user:bo", roles=(Role.FRAUD_ANALYST,), lifetime_seconds=300)
    for caller in (operator, owner_of("acme")):
        token = await mint(command, caller)
        assert token.expires_in == 300
        assert signer.signed[-1]["sub"] == "user:bo"
        assert signer.signed[-1]["tenant"] == "acme"
    with pytest.raises(Forbidden):
        await mint(command, owner_of("acme", Role.ADMIN))
    audited = [msgspec.json.decode(record.value) for record in memory_store.sent if record.topic == AUDIT]
    assert [entry["action"] for entry in audited].count("token:mint") == 2
    assert "user:bo" not in repr(memory_store.sent)


async def test_bootstrap_is_done_once_and_is_not_undone_by_a_restart(memory_store, clock, operator):
    secret = generate_api_key()
    first = await bootstrap_operator(secret, memory_store, clock, lambda: None)
    assert first is not None
    assert await bootstrap_operator(secret, memory_store, clock, lambda: None) is None
    record = directory_after(memory_store.sent).find(hash_api_key(secret))
    assert record is not None
    assert (record.tenant_id, record.roles) == (None, ["operator"])

    async with memory_store.writing(None) as writer:
        await writer.revoke_key(first.key_id, clock(), "key:other")
    assert await bootstrap_operator(secret, memory_store, clock, lambda: None) is None
    assert (await memory_store.key_by_hash(hash_api_key(secret))).revoked_at is not None


async def test_a_bootstrap_file_without_a_key_stops_the_start(memory_store, clock):
    with pytest.raises(StopError):
        await bootstrap_operator("changeme", memory_store, clock, lambda: None)
