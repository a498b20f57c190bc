"""Accept a batch: results in order, receipts after the acknowledgement, and no event lost by an outage."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from weir_common.errors import RetryError
from weir_common.events import Event, encode_event, event_on_the_log
from weir_common.ids import EventId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.privacy.bootstrap import OpenVault, vault_in_memory
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.identifiers import user
from weir_common.privacy.reveal import reveal
from weir_common.problems import Unavailable
from weir_ingest.accept_batch import AcceptBatch, Status, TenantMismatch
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.domain.quarantine import Refusal
from weir_ingest.drift_book import DriftBook
from weir_ingest.give_way import GiveWay
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.ports import Protect
from weir_ingest.settings import BatchLimits

TENANT = TenantId("merchant_12345")


class MemoryLog:
    """A log that can refuse."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []
        self.refuse: set[int] = set()
        self._count = 0

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        outcomes: list[Position | RetryError] = []
        for record in records:
            self._count += 1
            if self._count in self.refuse:
                outcomes.append(RetryError("away"))
                continue
            self.records.append(record)
            outcomes.append(Position(record.topic, record.partition or 0, len(self.records)))
        return outcomes


class CountedProtect:
    """A vault in memory that can be away."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.away = False
        self._protect = vault_in_memory().protect

    async def __call__(
        self, tenant_id: TenantId, events: Sequence[Event], *, step: Callable[[], Awaitable[None]]
    ) -> list[Event]:
        if self.away:
            raise VaultUnavailable("away")
        self.batches.append(len(events))
        return await self._protect(tenant_id, events, step=step)


class NoQuarantine:
    """Must not be asked by those who did not ask for it."""

    async def keep(self, tenant_id: TenantId, refusals: Sequence[Refusal], refused_at: datetime) -> list[UUID | None]:
        raise AssertionError("asked to keep")


class Shelf:
    """Keeps all but the last."""

    def __init__(self) -> None:
        self.kept: list[Refusal] = []

    async def keep(self, tenant_id: TenantId, refusals: Sequence[Refusal], refused_at: datetime) -> list[UUID | None]:
        self.kept += refusals[:-1]
        return [*(uuid.uuid4() for _ in refusals[:-1]), None]


def event(**changes: Any) -> dict[str, Any]:
    document = {
        "schema_version": "2.1",
        "tenant_id": TENANT,
        "event_metadata": {
            "event_id": str(uuid.uuid4()),
            "timestamp": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {
            "event_type": "user_interaction",
            "event_subtype": "page_view",
            "user_context": {"user_id": "u1"},
        },
        "unknown_field": {"kept": [1, 2, 3]},
    }
    return document | changes


def raw(document: Any) -> bytes:
    return msgspec.json.encode(document)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def receipts() -> MemoryReceipts:
    return MemoryReceipts()


@pytest.fixture
def vault() -> OpenVault:
    return vault_in_memory()


@pytest.fixture
def accept(log: MemoryLog, receipts: MemoryReceipts, vault: OpenVault) -> AcceptBatch:
    return accepting(log, receipts, vault.protect)


def accepting(log: MemoryLog, receipts: MemoryReceipts, protect: Protect) -> AcceptBatch:
    limits = BatchLimits(max_events_in_flight=10)
    return AcceptBatch(
        log,
        protect,
        receipts,
        LedgerBook(log),
        NoQuarantine(),
        DriftBook(MemoryDrift()),
        limits,
        GiveWay(lambda _: math.inf),
    )


async def test_the_event_goes_on_in_the_newest_version_protected_with_what_no_schema_knows(
    accept: AcceptBatch, log: MemoryLog, vault: OpenVault
) -> None:
    sent = event()
    (result,) = await accept(TENANT, [raw(sent)])
    assert result.status is Status.ACCEPTED
    found = await vault.vault.find(TENANT, [user("u1")])
    subject_id = found[user("u1")].subject_id
    (record,) = log.records
    on_the_log = event_on_the_log(record.value or b"")
    assert on_the_log.event_data.user_context is not None
    assert on_the_log.event_data.user_context.user_id == subject_id
    assert on_the_log.unknown_fields is None
    assert on_the_log.sealed is not None
    assert record.headers["weir-schema-version"] == b"2.2"
    assert record.headers["weir-tenant"] == TENANT.encode()
    assert record.key == event_key(TENANT, subject_id)
    assert record.partition == partition_of(TENANT, subject_id)
    kept = {"/unknown_field": sent.pop("unknown_field")}
    revealed = reveal(on_the_log, await vault.vault.open_key(TENANT, subject_id))
    assert msgspec.json.decode(encode_event(revealed)) == {**sent, "schema_version": "2.2", "unknown_fields": kept}


async def test_the_receipt_remembers_under_whose_key_the_event_is_sealed_and_tells_nobody(
    accept: AcceptBatch, receipts: MemoryReceipts, vault: OpenVault
) -> None:
    sent, plain = event(), event()
    del plain["unknown_field"], plain["event_data"]["user_context"]
    results = await accept(TENANT, [raw(sent), raw(plain)])
    found = await receipts.find(TENANT, [EventId(result.event_id) for result in results])
    subjects = await vault.vault.find(TENANT, [user("u1")])
    assert [kept.key_id for kept in found.values()] == [subjects[user("u1")].subject_id, None]
    assert [kept.receipt for kept in found.values()] == [result.receipt for result in results]
    assert b"sub_" not in msgspec.json.encode(results)


async def test_only_what_is_no_known_duplicate_is_protected(log: MemoryLog, receipts: MemoryReceipts) -> None:
    protect = CountedProtect()
    accept = accepting(log, receipts, protect)
    body = raw(event())
    await accept(TENANT, [body, body])
    await accept(TENANT, [body, raw(event())])
    assert protect.batches == [1, 1]


async def test_without_the_vault_nothing_is_written_and_what_is_sent_again_is_accepted(
    log: MemoryLog, receipts: MemoryReceipts
) -> None:
    protect = CountedProtect()
    accept = accepting(log, receipts, protect)
    known, fresh = raw(event()), raw(event())
    await accept(TENANT, [known])
    protect.away = True
    results = await accept(TENANT, [known, fresh, fresh, b"not json"])
    assert [result.status for result in results] == ["duplicate", "unavailable", "unavailable", "invalid"]
    all_or_none = await accept(TENANT, [known, fresh], atomic=True)
    assert [result.status for result in all_or_none] == ["unavailable", "unavailable"]
    assert len(log.records) == 1
    protect.away = False
    (again,) = await accept(TENANT, [fresh])
    assert again.status is Status.ACCEPTED


async def test_one_bad_event_does_not_fail_the_others(accept: AcceptBatch, log: MemoryLog) -> None:
    results = await accept(TENANT, [raw(event()), b"not json", raw(event(schema_version="1")), raw(event())])
    assert [result.status for result in results] == ["accepted", "invalid", "invalid", "accepted"]
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert results[2].errors[0].pointer == "/schema_version"
    assert len(log.records) == 2


async def test_what_is_refused_is_kept_if_there_is_room_and_it_can_be_mended(log: MemoryLog) -> None:
    shelf = Shelf()
    accept = AcceptBatch(
        log,
        vault_in_memory().protect,
        MemoryReceipts(),
        LedgerBook(log),
        shelf,
        DriftBook(MemoryDrift()),
        BatchLimits(),
        GiveWay(lambda _: math.inf),
    )
    sent = [raw(event(schema_version="1")), raw(event()), b"not json", b"[]", raw(event(schema_version="7"))]
    results = await accept(TENANT, sent, quarantine=True)
    assert [result.status for result in results] == ["quarantined", "accepted", "invalid", "invalid", "invalid"]
    assert [result.quarantine_id is not None for result in results] == [True, False, False, False, False]
    assert [error.pointer for error in results[0].errors] == ["/schema_version"]
    assert [refusal.text for refusal in shelf.kept] == [sent[0]]
    assert len(log.records) == 1


async def test_an_atomic_request_keeps_nothing(accept: AcceptBatch) -> None:
    results = await accept(TENANT, [raw(event(schema_version="1")), raw(event())], atomic=True, quarantine=True)
    assert [result.status for result in results] == ["invalid", "not_taken"]


async def test_a_repeat_in_the_batch_and_after_it_is_a_duplicate_with_the_first_receipt(
    accept: AcceptBatch, log: MemoryLog
) -> None:
    body = raw(event())
    first, second = await accept(TENANT, [body, body])
    (third,) = await accept(TENANT, [body])
    assert [first.status, second.status, third.status] == ["accepted", "duplicate", "duplicate"]
    assert first.receipt == second.receipt == third.receipt
    assert len(log.records) == 1


async def test_what_the_log_did_not_acknowledge_has_no_receipt_and_can_be_sent_again(
    accept: AcceptBatch, log: MemoryLog
) -> None:
    log.refuse = {1}
    body = raw(event())
    first, twin = await accept(TENANT, [body, body])
    assert [first.status, twin.status] == ["unavailable", "unavailable"]
    (again,) = await accept(TENANT, [body])
    assert again.status is Status.ACCEPTED


async def test_without_receipts_events_are_still_accepted(
    accept: AcceptBatch, receipts: MemoryReceipts, log: MemoryLog
) -> None:
    receipts.fail = True
    body = raw(event())
    results = [*await accept(TENANT, [body]), *await accept(TENANT, [body])]
    # Twice on the log: the consumers drop the second. Never lost.
    assert [result.status for result in results] == ["accepted", "accepted"]
    assert len(log.records) == 2


async def test_another_tenants_event_stops_the_whole_batch_before_anything_is_written(
    accept: AcceptBatch, log: MemoryLog
) -> None:
    with pytest.raises(TenantMismatch) as caught:
        await accept(TENANT, [raw(event()), raw(event(tenant_id="other"))])
    assert caught.value.errors[0].pointer == "/events/1/tenant_id"
    assert log.records == []


async def test_too_much_in_flight_is_told_to_come_back(accept: AcceptBatch) -> None:
    with pytest.raises(Unavailable):
        await accept(TENANT, [raw(event()) for _ in range(11)])


async def test_a_large_batch_lets_others_have_their_turn(
    log: MemoryLog, receipts: MemoryReceipts, vault: OpenVault
) -> None:
    book, drift = LedgerBook(log), DriftBook(MemoryDrift())
    accept = AcceptBatch(
        log, vault.protect, receipts, book, NoQuarantine(), drift, BatchLimits(), GiveWay(lambda _: math.inf)
    )
    done: list[str] = []

    async def send(name: str, count: int) -> None:
        results = await accept(TENANT, [raw(event()) for _ in range(count)])
        assert {result.status for result in results} == {Status.ACCEPTED}
        done.append(name)

    await asyncio.gather(send("large", 200), send("small", 1))
    assert done == ["small", "large"]


class SlowLog(MemoryLog):
    """Acknowledges when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = asyncio.Event()
        self.at_once = 0

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        self.at_once += 1
        await self.answer.wait()
        self.at_once -= 1
        return await super().try_publish_all(records, timeout=timeout)


async def test_a_batch_waits_for_its_turn_and_is_told_to_come_back_if_that_takes_too_long(
    receipts: MemoryReceipts, vault: OpenVault
) -> None:
    log = SlowLog()
    limits = BatchLimits(max_batches_at_once=2, turn_timeout_seconds=0.2)
    book, drift = LedgerBook(log), DriftBook(MemoryDrift())
    accept = AcceptBatch(log, vault.protect, receipts, book, NoQuarantine(), drift, limits, GiveWay(lambda _: math.inf))
    at_work = [asyncio.create_task(accept(TENANT, [raw(event())])) for _ in range(2)]
    await asyncio.sleep(0.05)
    late = asyncio.create_task(accept(TENANT, [raw(event())]))
    with pytest.raises(Unavailable) as caught:
        await late
    assert caught.value.status == 503
    (throttled,) = await accept(TENANT, [raw(event())], granted=0)
    assert throttled.status is Status.THROTTLED, "what the quota refuses does not stand in line"
    in_time = asyncio.create_task(accept(TENANT, [raw(event())]))
    await asyncio.sleep(0.05)
    assert log.at_once == 2
    log.answer.set()
    answers = await asyncio.gather(*at_work, in_time)
    assert [result.status for (result,) in answers] == [Status.ACCEPTED] * 3
    assert len(log.records) == 3, "of the one that was told to come back nothing is on the log"


@pytest.mark.parametrize("amount", ['"NaN"', '"Infinity"', '"-sNaN"'])
async def test_an_amount_that_is_no_number_is_refused(accept: AcceptBatch, amount: str) -> None:
    document = event()
    document["event_data"]["business_context"] = {
        "transaction_context": {"cart_context": {"cart_value": {"final_total": "AMOUNT"}}}
    }
    (result,) = await accept(TENANT, [raw(document).replace(b'"AMOUNT"', amount.encode())])
    assert result.status is Status.INVALID
    assert result.errors[0].pointer.endswith("/cart_context/cart_value/final_total")


async def test_every_fault_of_an_event_is_told(accept: AcceptBatch) -> None:
    document = event(tenant_id=7)
    document["event_metadata"]["timestamp"] = "yesterday"
    del document["event_data"]["event_type"]
    (result,) = await accept(TENANT, [raw(document)])
    assert [error.pointer for error in result.errors] == [
        "/tenant_id",
        "/event_metadata/timestamp",
        "/event_data/event_type",
    ]


async def test_a_name_that_occurs_twice_is_a_fault(accept: AcceptBatch, log: MemoryLog) -> None:
    (result,) = await accept(
        TENANT, [raw(event()).replace(b'"event_type":', b'"event_type":"transaction","event_type":')]
    )
    assert (result.status, result.errors[0].pointer) == (Status.INVALID, "/event_data/event_type")
    assert log.records == []


def stating(**consents: bool) -> dict[str, Any]:
    document = event()
    settings = {f"{name}_consent": given for name, given in consents.items()}
    document["event_data"]["user_context"]["user_profile"] = {"preferences": {"privacy_settings": settings}}
    return document


async def test_a_refusal_goes_with_the_event_and_stands_in_its_receipt(accept: AcceptBatch, log: MemoryLog) -> None:
    sent = [raw(stating(tracking=False, analytics=False)), raw(stating(tracking=True)), raw(event())]
    results = await accept(TENANT, sent)
    assert [record.headers.get("weir-consent") for record in log.records] == [b"analytics,tracking", None, None]
    consents = [msgspec.json.decode(msgspec.json.encode(result.receipt)).get("consent") for result in results]
    assert consents == [{"refused": ["analytics", "tracking"], "withheld": ["behaviour", "people"]}, None, None]
    again = await accept(TENANT, sent)
    assert [result.receipt for result in again] == [result.receipt for result in results]


async def test_an_old_version_refuses_as_well_and_the_log_still_says_so(accept: AcceptBatch, log: MemoryLog) -> None:
    await accept(TENANT, [raw(stating(marketing=False) | {"schema_version": "2.0", "unknown_field": None})])
    assert log.records[0].headers["weir-consent"] == b"marketing"
    assert b'"marketing_consent":false' in (log.records[0].value or b"")


async def test_a_tenant_above_its_rate_writes_nothing_while_another_waits_for_the_log(
    receipts: MemoryReceipts, vault: OpenVault
) -> None:
    log, loud = SlowLog(), TenantId("loud")
    book, drift = LedgerBook(log), DriftBook(MemoryDrift())
    rates = {TENANT: 100.0, loud: 1.0}
    accept = AcceptBatch(
        log, vault.protect, receipts, book, NoQuarantine(), drift, BatchLimits(), GiveWay(rates.__getitem__)
    )
    quiet = asyncio.create_task(accept(TENANT, [raw(event())]))
    await asyncio.sleep(0.02)
    assert log.at_once == 1
    burst = [raw(event(tenant_id=loud)) for _ in range(6)]
    hurried = asyncio.create_task(accept(loud, burst))
    await asyncio.sleep(0.1)
    assert log.at_once == 1, "the quiet one's alone"
    log.answer.set()
    answers = await asyncio.gather(quiet, hurried)
    assert {result.status for results in answers for result in results} == {Status.ACCEPTED}
