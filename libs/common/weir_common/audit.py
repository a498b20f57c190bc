"""Audit entries: who did what to what, and how it ended. Written before the action's success is reported.

An entry goes to ``weir.compliance.audit.v1``, either directly with the broker's acknowledgement or by an outbox row in the
transaction of the action itself. It holds references, never personal data.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from weir_common.ids import EventId, TenantId, uuid7
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import AUDIT
from weir_common.telemetry import current_trace_id, traceparent_of

PLATFORM = TenantId("__platform__")
"""The tenant of entries that concern no single tenant."""

_MERCHANT: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""With a letter in it: a number alone is nobody's name for a shop, but may be somebody's card."""

Outcome = Literal["success", "denied", "failure"]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One privileged action. ``actor`` and ``object_ref`` are references (key id, request id), ``detail`` short codes."""

    tenant_id: TenantId
    actor: str
    actor_kind: Literal["person", "machine", "service"]
    action: str
    object_ref: str
    outcome: Outcome
    detail: dict[str, str] = {}
    service: str = ""
    trace_id: str = msgspec.field(default_factory=current_trace_id)
    entry_id: str = msgspec.field(default_factory=lambda: str(uuid7()))
    occurred_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


def tenant_asked(tenant_id: str | None) -> str:
    """Whose data were asked for, for an entry's detail: as it came only if it can be a merchant's id.

    Callers send anything in its place, also mail addresses, card numbers and telephone numbers, which the log would keep.
    """
    if not tenant_id:
        return ""
    return tenant_id if _MERCHANT.fullmatch(tenant_id) else "no tenant's id"


def audit_record(entry: AuditEntry) -> OutgoingRecord:
    """The entry as a record, for an outbox or for ``AuditTrail``."""
    return OutgoingRecord(
        topic=AUDIT,
        key=entry.tenant_id.encode(),
        value=msgspec.json.encode(entry),
        headers=event_headers(entry.tenant_id, EventId(entry.entry_id), traceparent=traceparent_of()),
    )


class AuditTrail:
    """Writes entries and waits for the acknowledgement, so that no action is reported that the trail does not hold."""

    def __init__(self, publisher: KafkaPublisher, service: str) -> None:
        self._publisher = publisher
        self._service = service

    async def record(self, entry: AuditEntry, *, timeout: float = 5.0) -> None:
        """``RetryError`` when the log did not take it: then the action must not be reported as done."""
        stamped = entry if entry.service else msgspec.structs.replace(entry, service=self._service)
        await self._publisher.publish(audit_record(stamped), timeout=timeout)
