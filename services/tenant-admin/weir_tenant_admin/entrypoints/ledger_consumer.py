"""Consumer of ``weir.ops.ledger.v1``: both sides of the books into PostgreSQL, with the offsets in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_common.ledger import AtTheDoor, ByConsumer

from weir_tenant_admin.adapters.postgres_ledger import RECEIVED, add_to_ledger
from weir_tenant_admin.domain.ledger import Done
from weir_tenant_admin.domain.tenant import is_tenant_id

_decoder = msgspec.json.Decoder(AtTheDoor | ByConsumer)


@dataclass(slots=True)
class _Sums:
    door: dict[tuple[datetime, str], int] = field(default_factory=lambda: defaultdict(int))
    consumers: dict[tuple[datetime, str], Done] = field(default_factory=lambda: defaultdict(Done))


class LedgerHandler:
    """Sums a micro-batch by tenant and minute before it touches the database."""

    def __init__(self, touched: Callable[[Iterable[TenantId]], None]) -> None:
        self._touched = touched

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        by_tenant = summed(batch)
        transaction.after_commit(lambda: self._touched(by_tenant))
        for tenant_id, sums in sorted(by_tenant.items(), key=lambda item: item[0]):
            await transaction.as_tenant(tenant_id)
            await add_to_ledger(transaction.connection, tenant_id, sums.door, sums.consumers)


def summed(batch: Sequence[Record]) -> dict[TenantId, _Sums]:
    """The batch by tenant; ``QuarantineError`` for a record that is no entry of the books."""
    result: dict[TenantId, _Sums] = defaultdict(_Sums)
    for record in batch:
        try:
            entry = _decoder.decode(record.value)
        except msgspec.DecodeError as error:
            raise QuarantineError("malformed_ledger_entry", str(error), record=record) from error
        if isinstance(entry, AtTheDoor):
            if entry.tenant_id != record.tenant_id:
                raise QuarantineError("tenant_mismatch", "header and body name different tenants", record=record)
            minute = _minute(entry.minute, record)
            door = result[record.tenant_id].door
            door[minute, RECEIVED] += entry.received
            for fate, events in entry.fates.items():
                door[minute, fate] += events
            continue
        for row in entry.rows:
            if not is_tenant_id(row.tenant_id):
                raise QuarantineError("malformed_ledger_entry", f"tenant {row.tenant_id[:80]!r}", record=record)
            consumers = result[TenantId(row.tenant_id)].consumers
            key = (_minute(row.minute, record), entry.consumer)
            present = consumers[key]
            consumers[key] = Done(
                present.applied + row.applied,
                present.duplicates + row.duplicates,
                present.quarantined + row.quarantined,
            )
    return result


def _minute(text: str, record: Record) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError as error:
        raise QuarantineError("malformed_ledger_entry", f"minute {text[:40]!r}", record=record) from error
