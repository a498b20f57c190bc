"""Held events are mended by a patch, pass the same door as all others, and are marked only when they are on the log."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from weir_common.errors import RetryError
from weir_common.events import Event, event_on_the_log
from weir_common.ids import SubjectId, TenantId
from weir_common.kafka.records import OutgoingRecord, Position
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.privacy.reveal import reveal
from weir_common.problems import InvalidRequest
from weir_ingest.accept_batch import AcceptBatch
from weir_ingest.adapters.memory_drift import MemoryDrift
from weir_ingest.adapters.memory_quarantine import MemoryQuarantine
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.adapters.quarantine_seal import QuarantineSeal
from weir_ingest.domain.quarantine import HeldState, RefusedEvent, Selection
from weir_ingest.drift_book import DriftBook
from weir_ingest.give_way import GiveWay
from weir_ingest.keep_refused import KeepRefused, QuarantineRoom
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.mend_refused import MendRefused, MendStatus, summary_of
from weir_ingest.settings import BatchLimits, QuarantineLimits

SHOP = TenantId("shop")
ALL = Selection(since=datetime(2000, 1, 1, tzinfo=UTC))
MOVE = [{"op": "move", "from": "/event_metadata/time", "path": "/event_metadata/timestamp"}]


class MemoryLog:
    """A log that may be away."""

    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []
        self.away = False

    async def try_publish_all(
        self, records: Sequence[OutgoingRecord], *, timeout: float | None = None
    ) -> list[Position | RetryError]:
        if self.away:
            return [RetryError("away") for _ in records]
        self.records += records
        return [Position(record.topic, record.partition or 0, len(self.records)) for record in records]


def refused_event(**changes: Any) -> dict[str, Any]:
    """An event of a sender that calls the timestamp ``time``."""
    return {
        "schema_version": "2.1",
        "tenant_id": SHOP,
        "event_metadata": {
            "event_id": str(uuid.uuid4()),
            "time": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {"event_type": "user_interaction", "event_subtype": "page_view"},
    } | changes


class Desk:
    """The door, the shelf behind it and whoever mends."""

    def __init__(self) -> None:
        limits = QuarantineLimits()
        self.log, self.refused, self.store = MemoryLog(), MemoryLog(), MemoryQuarantine()
        self.vault = vault_in_memory()
        seal = QuarantineSeal(bytes(32))
        keep = KeepRefused(self.refused, seal, QuarantineRoom(self.store, limits), limits)
        self.accept = AcceptBatch(
            self.log,
            self.vault.protect,
            MemoryReceipts(),
            LedgerBook(MemoryLog()),
            keep,
            DriftBook(MemoryDrift()),
            BatchLimits(),
            GiveWay(lambda _: math.inf),
        )
        self.mend = MendRefused(self.store, seal, self.accept, max_event_bytes=100_000)

    async def refuse(self, *events: dict[str, Any]) -> list[UUID]:
        """Their ids in the quarantine."""
        texts = [msgspec.json.encode(event) for event in events]
        results = await self.accept(SHOP, texts, quarantine=True)
        assert {result.status for result in results} == {"quarantined"}
        for record in self.refused.records:
            await self.store.write(SHOP, [msgspec.json.decode(record.value or b"", type=RefusedEvent)])
        self.refused.records.clear()
        return [result.quarantine_id for result in results if result.quarantine_id is not None]

    async def accepted(self) -> list[Event]:
        """What is on the log, with the seals opened."""
        found: list[Event] = []
        for record in self.log.records:
            event = event_on_the_log(record.value or b"")
            assert event.sealed is not None
            found.append(reveal(event, await self.vault.vault.open_key(SHOP, SubjectId(event.sealed.key_id))))
        return found

    async def state(self, quarantine_id: UUID) -> tuple[HeldState, bool]:
        """Its state, and whether its text is there."""
        event = await self.store.get(SHOP, quarantine_id)
        assert event is not None
        return event.state, event.sealed is not None


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_mended_event_is_on_the_log_and_its_text_is_gone(desk: Desk) -> None:
    event = refused_event()
    (quarantine_id,) = await desk.refuse(event)
    tried = await desk.mend(SHOP, ALL, MOVE, dry_run=True)
    assert [(one.status, one.event_id) for one in tried] == [(MendStatus.VALID, event["event_metadata"]["event_id"])]
    assert (desk.log.records, await desk.state(quarantine_id)) == ([], (HeldState.HELD, True))
    (done,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert (done.status, done.receipt is not None) == (MendStatus.ACCEPTED, True)
    (record,) = desk.log.records
    assert msgspec.json.decode(record.value or b"")["event_metadata"]["timestamp"] == "2026-01-15T10:30:00Z"
    assert await desk.state(quarantine_id) == (HeldState.REPLAYED, False)
    assert await desk.mend(SHOP, ALL, MOVE, dry_run=False) == []


async def test_an_event_that_its_sender_has_mended_meanwhile_is_a_duplicate(desk: Desk) -> None:
    event = refused_event()
    (quarantine_id,) = await desk.refuse(event)
    event["event_metadata"]["timestamp"] = event["event_metadata"].pop("time")
    await desk.accept(SHOP, [msgspec.json.encode(event)])
    (done,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert done.status is MendStatus.DUPLICATE
    assert len(desk.log.records) == 1
    assert (await desk.state(quarantine_id))[0] is HeldState.REPLAYED


async def test_what_is_wrong_still_stays_as_it_was(desk: Desk) -> None:
    wrong = refused_event(event_data={"event_type": "nothing"})
    (quarantine_id,) = await desk.refuse(wrong)
    (result,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert (result.status, [error.pointer for error in result.errors]) == (
        MendStatus.INVALID,
        ["/event_data/event_type", "/event_data/event_subtype"],
    )
    assert (desk.log.records, await desk.state(quarantine_id)) == ([], (HeldState.HELD, True))
    (unfit,) = await desk.mend(SHOP, ALL, [{"op": "remove", "path": "/nowhere"}], dry_run=False)
    assert (unfit.status, await desk.state(quarantine_id)) == (MendStatus.UNPATCHABLE, (HeldState.HELD, True))


async def test_no_patch_leads_into_another_tenant(desk: Desk) -> None:
    await desk.refuse(refused_event())
    (result,) = await desk.mend(
        SHOP, ALL, [*MOVE, {"op": "replace", "path": "/tenant_id", "value": "other"}], dry_run=False
    )
    assert (result.status, result.errors[0].pointer, desk.log.records) == (MendStatus.INVALID, "/tenant_id", [])


async def test_while_the_log_is_away_all_is_kept(desk: Desk) -> None:
    (quarantine_id,) = await desk.refuse(refused_event())
    desk.log.away = True
    (result,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert (result.status, await desk.state(quarantine_id)) == (MendStatus.UNAVAILABLE, (HeldState.HELD, True))
    desk.log.away = False
    (result,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert result.status is MendStatus.ACCEPTED


async def test_a_selection_takes_its_own_and_the_oldest_first(desk: Desk) -> None:
    first, second, third = await desk.refuse(refused_event(), refused_event(), refused_event(schema_version="9"))
    by_place = await desk.mend(SHOP, Selection(pointer="/schema_version"), [], dry_run=True)
    assert [result.quarantine_id for result in by_place] == [third]
    by_id = await desk.mend(SHOP, Selection(quarantine_ids=[first, third]), [], dry_run=True)
    assert {result.quarantine_id for result in by_id} == {first, third}
    assert len(await desk.mend(SHOP, ALL, MOVE, dry_run=True, limit=2)) == 2
    results = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert summary_of(results) == {
        "selected": 3,
        "valid": 0,
        "accepted": 2,
        "duplicate": 0,
        "invalid": 1,
        "unpatchable": 0,
        "unavailable": 0,
    }
    assert (await desk.state(second))[0] is HeldState.REPLAYED


async def test_amounts_are_exact(desk: Desk) -> None:
    amount = "12345678901234.567890"
    text = msgspec.json.encode(refused_event(amount=0)).replace(b'"amount":0', f'"amount":{amount}'.encode())
    await desk.accept(SHOP, [text], quarantine=True)
    await desk.store.write(SHOP, [msgspec.json.decode(desk.refused.records[0].value or b"", type=RefusedEvent)])
    (result,) = await desk.mend(SHOP, ALL, MOVE, dry_run=False)
    assert result.status is MendStatus.ACCEPTED
    (event,) = await desk.accepted()
    assert bytes((event.unknown_fields or {})["/amount"]) == amount.encode()


async def test_what_one_event_is_given_is_not_the_next_ones(desk: Desk) -> None:
    await desk.refuse(refused_event(number=1), refused_event(number=2))
    patch = [
        *MOVE,
        {"op": "add", "path": "/notes", "value": []},
        {"op": "move", "from": "/number", "path": "/notes/0"},
    ]
    await desk.mend(SHOP, ALL, patch, dry_run=False)
    written = [(event.unknown_fields or {})["/notes"] for event in await desk.accepted()]
    # Refused at the same moment, they have no order.
    assert sorted(map(bytes, written)) == [b"[1]", b"[2]"]


async def test_a_patch_that_doubles_again_and_again_is_stopped(desk: Desk) -> None:
    await desk.refuse(refused_event(bomb=["x" * 1_000]))
    doubling = [{"op": "copy", "from": "/bomb", "path": "/bomb/0"}] * 90
    (result,) = await desk.mend(SHOP, ALL, [*MOVE, *doubling], dry_run=True)
    assert (result.status, "grows beyond" in result.errors[0].got) == (MendStatus.UNPATCHABLE, True)


async def test_an_event_deeper_than_any_encoder_goes_is_unpatchable(desk: Desk) -> None:
    deep: Any = 0
    for _ in range(900):
        deep = [deep]
    await desk.refuse(refused_event(deep=deep))
    (result,) = await desk.mend(SHOP, ALL, [{"op": "copy", "from": "/deep", "path": "/deeper"}], dry_run=True)
    assert result.status in (MendStatus.UNPATCHABLE, MendStatus.INVALID)


@pytest.mark.parametrize(
    ("selection", "patch", "pointer"),
    [
        (Selection(), [], "/selection"),
        (ALL, [{"op": "mend", "path": "/a"}], "/patch/0"),
        (ALL, [*MOVE, {"op": "replace", "path": "a", "value": 1}], "/patch/1"),
        (ALL, [{"op": "add", "path": "/a"}], "/patch/0"),
        (ALL, [{}], "/patch/0"),
        (ALL, MOVE * 101, "/patch"),
    ],
)
async def test_what_is_no_selection_or_patch_is_refused(
    desk: Desk, selection: Selection, patch: list[dict[str, Any]], pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await desk.mend(SHOP, selection, patch, dry_run=True)
    assert caught.value.errors[0].pointer == pointer
