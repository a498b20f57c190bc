"""An export holds what carries the subject's identifiers, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from weir_analytics.domain.event import CommerceEvent
from weir_analytics.domain.sessions import DeviceSession, activity_of, device_key, position, split
from weir_analytics.export_subject import ExportedRecord, ExportSubject, Subject
from weir_common.ids import TenantId

MakeEvent = Callable[..., dict[str, Any]]
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TENANT = TenantId("t")


class FakeArchive:
    def __init__(self, tables: Mapping[str, Sequence[bytes]]) -> None:
        self._tables = tables

    def payloads(self, table: str, tenant_id: TenantId) -> Iterable[bytes]:
        return iter(self._tables[table] if tenant_id == TENANT else ())


class FakeSessions:
    """Cut from the events of the archive."""

    def __init__(self, events: Sequence[bytes]) -> None:
        self._devices: dict[str, list[Any]] = {}
        for payload in events:
            try:
                event = msgspec.json.decode(payload, type=CommerceEvent)
            except msgspec.MsgspecError:
                continue
            device = device_key(event)
            if device is not None:
                self._devices.setdefault(device, []).append(activity_of(event, event.at))

    async def sessions(self, tenant_id: TenantId, devices: Collection[str]) -> Mapping[str, Sequence[DeviceSession]]:
        return {
            device: split(sorted(several, key=position))
            for device, several in self._devices.items()
            if device in devices
        }


@pytest.fixture
def export(make_event: MakeEvent) -> ExportSubject:
    def at(minute: int) -> datetime:
        return NOON + timedelta(minutes=minute)

    events = [
        make_event(event_id="1", at=at(0), user="ann", anonymous="A"),
        make_event(event_id="2", at=at(1), user="bob", anonymous="A"),  # somebody else on Ann's device
        make_event(event_id="3", at=at(2), user="bob", fingerprint="f"),
        make_event(event_id="4", at=at(100), anonymous="B"),
        make_event(event_id="5", at=at(200), user="ann", fingerprint="f"),
    ]
    values = [msgspec.json.encode(event) for event in events]
    values[0] = values[0].replace(b'"ann"', b'"\\u0061nn"')  # the same id, spelt otherwise
    values.append(b"no event")
    decisions = [
        msgspec.json.encode({"event_id": "1", "user_id": "ann"}),
        msgspec.json.encode({"event_id": "2", "user_id": "bob", "anonymous_id": None}),
        msgspec.json.encode({"event_id": "4", "user_id": None, "anonymous_id": "B"}),
        b"{}",
    ]
    return ExportSubject(FakeArchive({"events": values, "decisions": decisions}), FakeSessions(values))


async def exported(export: ExportSubject, users: set[str], visitors: set[str]) -> list[ExportedRecord]:
    return [record async for record in export(TENANT, Subject(frozenset(users), frozenset(visitors)))]


async def test_a_users_export(export: ExportSubject) -> None:
    records = await exported(export, {"ann"}, set())
    assert [(record.category, record.record_id) for record in records[:3]] == [
        ("analytics.event", "1"),
        ("analytics.event", "5"),
        ("analytics.decision", "1"),
    ]
    sessions = [msgspec.json.decode(record.json) for record in records[3:]]
    assert [(session["device"], session["user_id"]) for session in sessions] == [
        ("anonymous:A", "ann"),
        ("device:f", "ann"),
    ]


async def test_a_visitors_export_by_cookie_alone(export: ExportSubject) -> None:
    records = await exported(export, set(), {"B"})
    assert [record.category for record in records] == [
        "analytics.event",
        "analytics.decision",
        "analytics.device_session",
    ]
    assert msgspec.json.decode(records[2].json)["started_at"] == "2026-11-25T13:40:00Z"


async def test_nothing_held_is_an_empty_export(export: ExportSubject) -> None:
    assert await exported(export, {"nobody"}, set()) == []
