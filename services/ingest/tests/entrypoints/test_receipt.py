"""A receipt over HTTP and gRPC, without sockets."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from weir.ingest.v1 import ingest_pb2
from weir_common.applied import PeerPositions
from weir_common.auth import Principal, Role
from weir_common.events import decode_event
from weir_common.http import create_app
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.identifiers import user
from weir_common.privacy.subject_cipher import SubjectCipher
from weir_common.problems import NotFound
from weir_common.readiness import Readiness
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.domain.receipt import KeptReceipt, Receipt
from weir_ingest.entrypoints.grpc import IngestServicer
from weir_ingest.entrypoints.http import ingest_router
from weir_ingest.read_receipt import ReadReceipt
from weir_ingest.settings import BatchLimits

SHOP = TenantId("shop-1")
RECEIPT = Receipt("weir.ingest.events.v2", 3, 41, "2026-11-25T10:30:00.000001Z")


class OneCaller:
    def authenticate(self, *, api_key: str | None, authorization: str | None) -> Principal:
        return Principal(SHOP, "key:shop", "machine", frozenset({Role.INGEST}), "shop")


class SometimesAway:
    """The vault, until it is not there."""

    def __init__(self, vault: OpenVault) -> None:
        self.away = False
        self._vault = vault.vault

    async def open_key(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectCipher:
        if self.away:
            raise VaultUnavailable("away")
        return await self._vault.open_key(tenant_id, subject_id)


@pytest.fixture
def vault() -> OpenVault:
    return vault_in_memory()


@pytest.fixture
def keys(vault: OpenVault) -> SometimesAway:
    return SometimesAway(vault)


@pytest.fixture
def receipts() -> MemoryReceipts:
    return MemoryReceipts()


@pytest.fixture
def read_receipt(receipts: MemoryReceipts, keys: SometimesAway) -> ReadReceipt:
    return ReadReceipt(receipts, PeerPositions({}), keys)


class CallContext:
    """What the servicer asks of gRPC's."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", "key"),)


@pytest.fixture
def servicer(read_receipt: ReadReceipt) -> IngestServicer:
    caller: Any = OneCaller()
    unused: Any = None
    return IngestServicer(unused, unused, unused, read_receipt, caller, unused, BatchLimits())


async def over_grpc(servicer: IngestServicer, event_id: str) -> ingest_pb2.GetReceiptResponse:
    context: Any = CallContext()
    return await servicer.GetReceipt(ingest_pb2.GetReceiptRequest(tenant_id=SHOP, event_id=event_id), context)


@pytest.fixture
async def client(read_receipt: ReadReceipt) -> AsyncIterator[httpx.AsyncClient]:
    caller: Any = OneCaller()
    nobody: Any = None
    app = create_app(
        service="ingest",
        title="ingest",
        description="",
        readiness=Readiness(),
        authenticator=caller,
        audit=nobody,
    )
    app.include_router(ingest_router(read_receipt, MemoryDrift()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest") as opened:
        yield opened


async def test_accepted_until_the_persons_key_is_destroyed_and_then_erased(
    client: httpx.AsyncClient,
    servicer: IngestServicer,
    receipts: MemoryReceipts,
    vault: OpenVault,
    keys: SometimesAway,
) -> None:
    event_id = str(uuid.uuid4())
    sent = {
        "schema_version": "2.2",
        "tenant_id": SHOP,
        "event_metadata": {"event_id": event_id, "timestamp": "2026-01-15T10:30:00Z", "source_system": "web_app"},
        "event_data": {
            "event_type": "user_interaction",
            "event_subtype": "page_view",
            "user_context": {"user_id": "u1"},
        },
    }
    (event,) = await vault.protect(SHOP, [decode_event(msgspec.json.encode(sent)).event])
    assert event.sealed is not None
    subject_id = SubjectId(event.sealed.key_id)
    await receipts.save(SHOP, {EventId(event_id): KeptReceipt(RECEIPT, subject_id)})

    async def looked_up() -> dict[str, Any]:
        answer = await client.get(f"/api/v2/events/receipts/{event_id}")
        assert answer.status_code == 200, answer.text
        assert "sub_" not in answer.text
        document: dict[str, Any] = answer.json()
        assert document["receipt"] == msgspec.to_builtins(RECEIPT)
        told = await over_grpc(servicer, event_id)
        assert (told.receipt.partition, told.receipt.offset) == (RECEIPT.partition, RECEIPT.offset)
        assert ingest_pb2.Erasure.Name(told.erasure) == f"ERASURE_{document['erasure']['state'].upper()}"
        assert [(fate.stage, fate.by, ingest_pb2.FateState.Name(fate.state)) for fate in told.fates] == [
            (fate["stage"], fate["by"], f"FATE_STATE_{fate['state'].upper()}") for fate in document["fates"]
        ]
        return document

    before = await looked_up()
    assert (before["status"], before["erasure"]["state"]) == ("accepted", "none")
    keys.away = True
    unknown = await looked_up()
    assert (unknown["status"], unknown["erasure"]["state"]) == ("accepted", "unknown"), (
        "what is not known is not claimed"
    )
    keys.away = False
    assert await vault.vault.erase(SHOP, subject_id)
    await vault.vault.resolve(SHOP, [user("u1")])
    after = await looked_up()
    assert (after["status"], after["erasure"]["state"]) == ("erased", "done"), "also when the same person came back"
    assert "destroyed" in after["erasure"]["meaning"]
    assert [fate["stage"] for fate in after["fates"]] == ["scored", "checked", "counted", "archived"]


async def test_an_event_without_personal_data_has_nothing_to_erase(
    client: httpx.AsyncClient, receipts: MemoryReceipts
) -> None:
    event_id = EventId(str(uuid.uuid4()))
    await receipts.save(SHOP, {event_id: KeptReceipt(RECEIPT)})
    document = (await client.get(f"/api/v2/events/receipts/{event_id}")).json()
    assert (document["status"], document["erasure"]["state"]) == ("accepted", "none")


async def test_no_receipt_is_said_by_both_edges(client: httpx.AsyncClient, servicer: IngestServicer) -> None:
    event_id = str(uuid.uuid4())
    assert (await client.get(f"/api/v2/events/receipts/{event_id}")).status_code == 404
    with pytest.raises(NotFound):
        await over_grpc(servicer, event_id)
