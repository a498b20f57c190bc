"""Records come back as they were sent, by the keys of the request's own subject only."""

import asyncio
import uuid
from typing import Any

import msgspec
import pytest
from weir_common.events import decode_event, encode_event
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.errors import VaultUnavailable
from weir_compliance.domain.subject import Subject
from weir_compliance.reveal_subject import RevealSubject, identifiers_of

SHOP = TenantId("shop-1")
ANN = Subject(("ann@example.com",), ("cookie-of-ann",))
BEN = Subject(("ben-4711",), ("cookie-of-ben",))


@pytest.fixture
def vault() -> OpenVault:
    return vault_in_memory()


@pytest.fixture
def reveal(vault: OpenVault) -> RevealSubject:
    return RevealSubject(vault.vault)


def sent(user_id: str, anonymous_id: str) -> dict[str, Any]:
    return {
        "schema_version": "2.2",
        "tenant_id": SHOP,
        "event_metadata": {
            "event_id": str(uuid.uuid4()),
            "timestamp": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {
            "event_type": "user_interaction",
            "event_subtype": "page_view",
            "user_context": {
                "user_id": user_id,
                "anonymous_id": anonymous_id,
                "session_data": {
                    "session_attributes": {
                        "device_fingerprint": "fp-of-the-tablet",
                        "geolocation": {"coordinates": {"lat": 52.520008, "lon": 13.404954}},
                    }
                },
            },
        },
    }


async def on_the_log(vault: OpenVault, event: dict[str, Any]) -> bytes:
    (protected,) = await vault.protect(SHOP, [decode_event(msgspec.json.encode(event)).event])
    return encode_event(protected)


async def ids_of(vault: OpenVault, subject: Subject) -> list[str]:
    found = await vault.vault.find(SHOP, list(identifiers_of(subject)))
    return sorted(one.subject_id for one in found.values())


async def test_an_own_event_comes_back_as_it_was_sent(vault: OpenVault, reveal: RevealSubject) -> None:
    event = sent("ann@example.com", "cookie-of-ann")
    logged = await on_the_log(vault, event)
    assert b"ann@example" not in logged
    assert b"cookie-of" not in logged
    ann = await reveal(SHOP, ANN)
    assert ann.subject_ids == await ids_of(vault, ANN)
    assert len(ann.subject_ids) == 2
    assert msgspec.json.decode(await ann(logged)) == event
    held = msgspec.json.decode(await ann(b'{"n":1.10,"held":[{"event":' + logged + b"}]}"))
    assert held == {"n": 1.1, "held": [{"event": event}]}
    assert ann.left_sealed == {}


async def test_what_is_sealed_for_another_person_stays_sealed_though_the_subject_is_in_it(
    vault: OpenVault, reveal: RevealSubject
) -> None:
    await on_the_log(vault, sent("ann@example.com", "cookie-of-ann"))
    logged = await on_the_log(vault, sent("ben-4711", "cookie-of-ann"))
    ann = await reveal(SHOP, ANN)
    shown = await ann(logged)
    assert b"ben-4711" not in shown
    assert b"fp-of-the-tablet" not in shown
    document = msgspec.json.decode(shown)
    assert document["sealed"] == msgspec.json.decode(logged)["sealed"]
    # Her own cookie is hers, whoever was logged in.
    assert document["event_data"]["user_context"]["anonymous_id"] == "cookie-of-ann"
    assert ann.left_sealed == {"another_person": 1}
    ben = await reveal(SHOP, BEN)
    assert b"ben-4711" in await ben(logged)


async def test_subject_ids_are_turned_back_wherever_they_stand_and_digits_stay(
    vault: OpenVault, reveal: RevealSubject
) -> None:
    await on_the_log(vault, sent("ann@example.com", "cookie-of-ann"))
    found = await vault.vault.find(SHOP, list(identifiers_of(ANN)))
    (own,) = [one.subject_id for identifier, one in found.items() if identifier.endswith("ann@example.com")]
    ann = await reveal(SHOP, ANN)
    text = f'{{"entity":"user:{own}","price":1.10,"{own}":["{own}","sub_somebodyelse000000000"]}}'.encode()
    assert await ann(text) == (
        b'{"entity":"user:ann@example.com","price":1.10,"ann@example.com":["ann@example.com","sub_somebodyelse000000000"]}'
    )
    untouched = b' {"price": 1.10, "note": "\\u00fc"}'
    assert await ann(untouched) == untouched
    assert await ann(b'{"sealed"') == b'{"sealed"'


async def test_what_was_erased_meanwhile_and_what_is_damaged_stays_sealed(
    vault: OpenVault, reveal: RevealSubject
) -> None:
    logged = await on_the_log(vault, sent("ann@example.com", "cookie-of-ann"))
    document = msgspec.json.decode(logged)
    document["event_metadata"]["event_id"] = str(uuid.uuid4())
    ann = await reveal(SHOP, ANN)
    assert b"fp-of-the-tablet" not in await ann(msgspec.json.encode(document))
    assert ann.left_sealed == {"seal_broken": 1}
    late = await reveal(SHOP, ANN)
    await vault.vault.erase(SHOP, SubjectId(document["sealed"]["key_id"]))
    assert b"fp-of-the-tablet" not in await late(logged)
    assert late.left_sealed == {"key_destroyed": 1}
    after = await reveal(SHOP, ANN)
    assert len(after.subject_ids) == 1, "her cookie is a subject of its own"


async def test_another_tenants_person_of_the_same_name_is_nobody_here(vault: OpenVault, reveal: RevealSubject) -> None:
    logged = await on_the_log(vault, sent("ann@example.com", "cookie-of-ann"))
    stranger = await reveal(TenantId("shop-2"), ANN)
    assert stranger.subject_ids == []
    assert b"ann@example.com" not in await stranger(logged)


async def test_a_vault_that_does_not_answer_is_unavailable() -> None:
    class Silent:
        async def find(self, *arguments: Any) -> Any:
            await asyncio.sleep(60)

    silent: Any = Silent()
    with pytest.raises(VaultUnavailable):
        await RevealSubject(silent, timeout_seconds=0.01)(SHOP, ANN)
