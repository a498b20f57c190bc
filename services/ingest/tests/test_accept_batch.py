"""Accept a batch: results in order, receipts after the acknowledgement, and no event lost by an outage."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.problems import Unavailable
from weir_ingest.accept_batch import AcceptBatch, Status, TenantMismatch
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.domain.quarantine import Refusal
from weir_ingest.drift_book import DriftBook
from weir_ingest.ledger_book import LedgerBook
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
def accept(log: MemoryLog, receipts: MemoryReceipts) -> AcceptBatch:
    return AcceptBatch(
        log, receipts, LedgerBook(log), NoQuarantine(), DriftBook(MemoryDrift()), BatchLimits(max_events_in_flight=10)
    )


async def test_the_event_goes_on_in_the_newest_version_with_what_no_schema_knows(
    accept: AcceptBatch, log: MemoryLog
) -> None:
    sent = event()
    (result,) = await accept(TENANT, [raw(sent)])
    assert result.status is Status.ACCEPTED
    kept = {"/unknown_field": sent.pop("unknown_field")}
    assert msgspec.json.decode(log.records[0].value or b"") == {
        **sent,
        "schema_version": "2.2",
        "unknown_fields": kept,
    }
    assert log.records[0].headers["weir-schema-version"] == b"2.2"
    assert log.records[0].headers["weir-tenant"] == TENANT.encode()
    assert log.records[0].key == b"merchant_12345\x00u1"


async def test_one_bad_event_does_not_fail_the_others(accept: AcceptBatch, log: MemoryLog) -> None:
    results = await accept(TENANT, [raw(event()), b"not json", raw(event(schema_version="1")), raw(event())])
    assert [result.status for result in results] == ["accepted", "invalid", "invalid", "accepted"]
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert results[2].errors[0].pointer == "/schema_version"
    assert len(log.records) == 2


async def test_what_is_refused_is_kept_if_there_is_room_and_it_can_be_mended(log: MemoryLog) -> None:
    shelf = Shelf()
    accept = AcceptBatch(log, MemoryReceipts(), LedgerBook(log), shelf, DriftBook(MemoryDrift()), BatchLimits())
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
