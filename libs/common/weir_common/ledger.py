"""The books: what came in at the door, by tenant, minute and fate, and what each consumer did with it.

Both sides are written with what they count: the door's entry travels with the events' own acknowledgement, a consumer's in the
transaction of its effects. So an entry is missing only if what it counts did not happen, or was never answered for.
The minute is that of the acceptance, ``2026-11-25T10:30`` (UTC): the same on both sides, whatever clock a consumer has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from weir_common.ids import EventId, TenantId, uuid7
from weir_common.kafka.records import ACCEPTED_AT_HEADER, TENANT_HEADER, OutgoingRecord, Record, event_headers
from weir_common.kafka.topics import LEDGER

PLATFORM_TENANT = TenantId("__platform__")
MINUTE_LENGTH = len("2026-11-25T10:30")


class AtTheDoor(msgspec.Struct, frozen=True, tag="door"):
    """One request: how many events it brought, and the fate of each."""

    tenant_id: str
    minute: str
    received: int
    fates: dict[str, int]


class Applied(msgspec.Struct, frozen=True, array_like=True):
    """What a consumer did with a tenant's events of a minute, in one micro-batch."""

    tenant_id: str
    minute: str
    applied: int
    duplicates: int
    quarantined: int


class ByConsumer(msgspec.Struct, frozen=True, tag="consumer"):
    """One micro-batch of a consumer, named ``service.consumer``."""

    consumer: str
    rows: list[Applied]


Entry = AtTheDoor | ByConsumer


def door_record(entry: AtTheDoor) -> OutgoingRecord:
    """The entry of one request, to be sent with its events."""
    tenant_id = TenantId(entry.tenant_id)
    return OutgoingRecord(
        topic=LEDGER,
        key=entry.tenant_id.encode(),
        value=msgspec.json.encode(entry),
        headers=event_headers(tenant_id, EventId(str(uuid7()))),
    )


Counts = Mapping[tuple[str, str], Sequence[int]]
"""(tenant, minute) → applied, duplicates, put aside."""


def consumer_record(
    consumer: str, applied: Iterable[Record], duplicates: Iterable[Record], quarantined: Iterable[Record]
) -> OutgoingRecord | None:
    """The entry of one micro-batch, to be written in its transaction; None if there is nothing to count."""
    counts: dict[tuple[bytes, bytes], list[int]] = {}
    for place, records in enumerate((applied, duplicates, quarantined)):
        for record in records:
            headers = record.headers
            key = (headers.get(TENANT_HEADER, b""), headers.get(ACCEPTED_AT_HEADER, b"")[:MINUTE_LENGTH])
            counts.setdefault(key, [0, 0, 0])[place] += 1
    return counts_record(
        consumer,
        {
            (tenant.decode("utf-8", "replace"), minute.decode("ascii", "replace")): numbers
            for (tenant, minute), numbers in counts.items()
            # What names no tenant is in nobody's books, and must not spoil the entry for the others.
            if tenant
        },
    )


def counts_record(consumer: str, counts: Counts) -> OutgoingRecord | None:
    """An entry of what was counted already; None if nothing was."""
    if not counts:
        return None
    rows = [Applied(tenant, minute, *numbers) for (tenant, minute), numbers in counts.items()]
    return OutgoingRecord(
        topic=LEDGER,
        key=consumer.encode(),
        value=msgspec.json.encode(ByConsumer(consumer, rows)),
        headers=event_headers(PLATFORM_TENANT, EventId(str(uuid7()))),
    )


def imbalance(fates: Mapping[str, int], received: int) -> int:
    """Events that came in and have no fate; 0 when the door's own book balances."""
    return received - sum(fates.values())
