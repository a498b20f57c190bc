"""What analytics holds about a data subject: their events in the archive, the decisions beside them, their device sessions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final, NamedTuple

import msgspec
from weir_common.ids import TenantId

from weir_analytics.domain.event import CommerceEvent, UserContext, moment
from weir_analytics.domain.sessions import device_key, session_id
from weir_analytics.domain.storable import storable
from weir_analytics.ports import ArchiveReader, SessionReader

PAGE: Final = 200
"""Records read at a time: one hop into a thread each, and a slow reader of the stream holds up the scan."""


class Subject(NamedTuple):
    """Whose data; a record belongs to the subject if it carries any of these."""

    users: frozenset[str]
    visitors: frozenset[str]


class ExportedRecord(NamedTuple):
    """One record; `json` is an object, UTF-8."""

    category: str
    record_id: str
    json: bytes


class ExportSubject:
    def __init__(self, archive: ArchiveReader, sessions: SessionReader) -> None:
        self._archive = archive
        self._sessions = sessions

    async def __call__(self, tenant_id: TenantId, subject: Subject) -> AsyncIterator[ExportedRecord]:
        """Archived records, then sessions. Events of the last half minute may not be in the archive yet."""
        devices: set[str] = set()
        for records in (self._events(tenant_id, subject, devices), self._decisions(tenant_id, subject)):
            while page := await asyncio.to_thread(_page, records):
                for record in page:
                    yield record
        for record in await self._device_sessions(tenant_id, subject, devices):
            yield record

    def _events(self, tenant_id: TenantId, subject: Subject, devices: set[str]) -> Iterator[ExportedRecord]:
        """Also collects the devices of these events. Every event is decoded: its text may spell an id in many ways."""
        for payload in self._archive.payloads("events", tenant_id):
            try:
                user = _EVENT.decode(payload).event_data.user_context
                if user is None or not (user.user_id in subject.users or user.anonymous_id in subject.visitors):
                    continue
                event = _WHOLE_EVENT.decode(payload)
            except msgspec.MsgspecError:
                continue  # no event, so it names nobody
            device = device_key(event)
            if device is not None:
                devices.add(device)
            yield ExportedRecord("analytics.event", event.event_metadata.event_id, payload)

    def _decisions(self, tenant_id: TenantId, subject: Subject) -> Iterator[ExportedRecord]:
        for payload in self._archive.payloads("decisions", tenant_id):
            try:
                decision = _DECISION.decode(payload)
            except msgspec.MsgspecError:
                continue
            if decision.user_id in subject.users or decision.anonymous_id in subject.visitors:
                yield ExportedRecord("analytics.decision", decision.event_id, payload)

    async def _device_sessions(
        self, tenant_id: TenantId, subject: Subject, devices: Collection[str]
    ) -> list[ExportedRecord]:
        """Sessions of the subject's own devices; on others, those in which the subject was the last user seen.

        A device may be shared: the sessions of other people on it are not the subject's.
        """
        own = {storable(f"anonymous:{visitor}") for visitor in subject.visitors}
        own |= {storable(f"user:{user}") for user in subject.users}
        users = {storable(user) for user in subject.users}
        found = await self._sessions.sessions(tenant_id, own | set(devices))
        return [
            ExportedRecord(
                "analytics.device_session",
                str(session_id(tenant_id, device, session)),
                msgspec.json.encode(
                    {
                        "device": device,
                        "user_id": session.user,
                        "started_at": moment(session.started[0]),
                        "ended_at": moment(session.ended[0]),
                        "events": session.events,
                        "page_views": session.page_views,
                        "purchases": session.purchases,
                    }
                ),
            )
            for device, sessions in sorted(found.items())
            for session in sessions
            if device in own or session.user in users
        ]


class _EventData(msgspec.Struct, gc=False):
    user_context: UserContext | None = None


class _Event(msgspec.Struct, gc=False):
    event_data: _EventData


class _Decision(msgspec.Struct, gc=False):
    event_id: str
    user_id: str | None = None
    anonymous_id: str | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_WHOLE_EVENT: Final = msgspec.json.Decoder(CommerceEvent)
_DECISION: Final = msgspec.json.Decoder(_Decision)


def _page(records: Iterator[ExportedRecord]) -> list[ExportedRecord]:
    return list(itertools.islice(records, PAGE))
