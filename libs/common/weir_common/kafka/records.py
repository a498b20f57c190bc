"""Records as our code sees them, and the headers that each event carries.

Structs, since several are made for every event: a frozen dataclass takes four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from weir_common.consent import NOTHING, Refused, from_header
from weir_common.errors import QuarantineError
from weir_common.ids import EventId, TenantId

TENANT_HEADER = "weir-tenant"
EVENT_ID_HEADER = "weir-event-id"
EVENT_TYPE_HEADER = "weir-event-type"
EVENT_SUBTYPE_HEADER = "weir-event-subtype"
SCHEMA_VERSION_HEADER = "weir-schema-version"
ACCEPTED_AT_HEADER = "weir-accepted-at"
CONSENT_HEADER = "weir-consent"
"""The consents that the subject refused; absent when none is. Ingest decided it, nobody reads the event for it again."""
TRACEPARENT_HEADER = "traceparent"


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record read from the log. ``timestamp_ms`` is the acceptance time; headers keep the last value of a name."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: Mapping[str, bytes] = {}

    @property
    def tenant_id(self) -> TenantId:
        """``QuarantineError`` when absent: nothing of ours is written without its tenant."""
        return TenantId(self._text(TENANT_HEADER))

    @property
    def event_id(self) -> EventId:
        """Unique within the tenant."""
        return EventId(self._text(EVENT_ID_HEADER))

    @property
    def event_type(self) -> str:
        """``user_interaction``, ``transaction``, ``system_event`` or ``ml_inference``."""
        return self._text(EVENT_TYPE_HEADER)

    @property
    def event_subtype(self) -> str:
        """``page_view``, ``purchase``, … as sent."""
        return self._text(EVENT_SUBTYPE_HEADER)

    @property
    def accepted_at(self) -> datetime:
        """When the broker's acknowledgement was asked for, UTC; the record's own time if the header is absent."""
        raw = self.headers.get(ACCEPTED_AT_HEADER)
        if raw is None:
            return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)
        return _moment(raw)

    @property
    def refused(self) -> Refused:
        """The consents that the event's subject refused. ``QuarantineError`` for a header that cannot be read: a refusal that
        nobody can read must not count as none."""
        raw = self.headers.get(CONSENT_HEADER)
        if raw is None:
            return NOTHING
        try:
            return from_header(raw)
        except UnicodeDecodeError as error:
            raise QuarantineError("bad_header", CONSENT_HEADER, record=self) from error

    @property
    def traceparent(self) -> str | None:
        """W3C trace context of the producer, if it sent one."""
        raw = self.headers.get(TRACEPARENT_HEADER)
        return raw.decode("ascii", "replace") if raw is not None else None

    def _text(self, header: str) -> str:
        raw = self.headers.get(header)
        if raw is None:
            raise QuarantineError("missing_header", header, record=self)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise QuarantineError("bad_header", header, record=self) from error


@lru_cache(maxsize=1_024)
def _moment(raw: bytes) -> datetime:
    """Kept, since all events of a request were accepted at the same one."""
    return datetime.fromisoformat(raw.decode())


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """One record to write. Without ``partition`` the producer hashes the key; None as value is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Mapping[str, bytes] = {}
    partition: int | None = None
    timestamp_ms: int | None = None


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a record was written."""

    topic: str
    partition: int
    offset: int


def event_headers(
    tenant_id: TenantId, event_id: EventId, *, traceparent: str | None = None, **more: str
) -> dict[str, bytes]:
    """Headers of a record about one event of one tenant; ``more`` by its full header name."""
    headers = {TENANT_HEADER: tenant_id.encode(), EVENT_ID_HEADER: event_id.encode()}
    if traceparent is not None:
        headers[TRACEPARENT_HEADER] = traceparent.encode()
    headers.update({name: value.encode() for name, value in more.items()})
    return headers
