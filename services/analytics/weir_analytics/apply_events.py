"""Apply a micro-batch of events and decisions to the books: sessions, orders and rollups, in the transaction that moves the offsets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from weir_common.consent import NOTHING, Purpose, Refused, may_serve
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_common.kafka.topics import DECISIONS

from weir_analytics.domain.catalogue import Catalogue
from weir_analytics.domain.decision import FraudDecision
from weir_analytics.domain.event import EARLIEST, CommerceEvent, facts_of, microseconds, purchase_of
from weir_analytics.domain.facts import MICROSECONDS, Fact, LeftOut, Microseconds, Purchase
from weir_analytics.domain.left_out import BY_CONSENT
from weir_analytics.domain.orders import OrderBook
from weir_analytics.domain.rollup import Rollup, united
from weir_analytics.domain.sessions import (
    Activity,
    Sessions,
    activity_of,
    append,
    certain_start,
    device_key,
    position,
    resplit,
)
from weir_analytics.errors import UndecodableRecord
from weir_analytics.ports import Books, Changes, TenantBooks

_EVENT: Final = msgspec.json.Decoder(CommerceEvent)
_DECISION: Final = msgspec.json.Decoder(FraudDecision)


@dataclass(slots=True)
class TenantBatch:
    """One tenant's part of a micro-batch, decoded."""

    facts: list[Fact] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    activities: defaultdict[str, list[Activity]] = field(default_factory=lambda: defaultdict(list))
    events: int = 0
    newest_event: Microseconds = 0
    newest_accepted_at: datetime | None = None

    def add_event(self, event: CommerceEvent, accepted_at: datetime, refused: Refused = NOTHING) -> None:
        """``refused``: by its subject. No session is begun or continued from what may not be known again."""
        at = event.at
        self.facts.extend(facts_of(event, at, refused))
        self.facts.extend(LeftOut(at, reason) for consent, reason in BY_CONSENT.items() if consent in refused)
        if event.is_purchase:
            self.purchases.append(purchase_of(event, at, refused))
        device = device_key(event) if may_serve(Purpose.PEOPLE, refused) else None
        if device is not None:
            self.activities[device].append(activity_of(event, at))
        self.events += 1
        self.newest_event = max(self.newest_event, at)
        if self.newest_accepted_at is None or accepted_at > self.newest_accepted_at:
            self.newest_accepted_at = accepted_at


class ApplyEvents:
    """The handler of the consumer of `weir.ingest.events.v2` and `weir.fraud.decisions.v1`."""

    def __init__(
        self, catalogue: Catalogue, open_books: Callable[[Transaction], Books], *, decisions_topic: str = DECISIONS
    ) -> None:
        self._catalogue = catalogue
        self._open_books = open_books
        self._decisions_topic = decisions_topic

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        """UndecodableRecord (quarantine) for a value that is no event or decision."""
        parts = decode(batch, self._decisions_topic)
        books = self._open_books(transaction)
        await books.lock(parts)
        for tenant_id, part in sorted(parts.items()):
            await apply_to_tenant(self._catalogue, tenant_id, part, await books.of(tenant_id))


def decode(batch: Iterable[Record], decisions_topic: str = DECISIONS) -> dict[TenantId, TenantBatch]:
    """Split by the tenant of the header, which ingest took from the credential."""
    parts: defaultdict[TenantId, TenantBatch] = defaultdict(TenantBatch)
    for record in batch:
        part = parts[record.tenant_id]
        try:
            if record.topic == decisions_topic:
                part.facts.append(_DECISION.decode(record.value).fact)
            else:
                part.add_event(_EVENT.decode(record.value), record.accepted_at, record.refused)
        except msgspec.MsgspecError as error:
            raise UndecodableRecord(str(error), record) from error
    return dict(parts)


async def apply_to_tenant(catalogue: Catalogue, tenant_id: TenantId, part: TenantBatch, books: TenantBooks) -> None:
    """Read what the batch touches, work out what changes, write it once."""
    rollup = Rollup(catalogue)
    for fact in part.facts:
        rollup.add(fact)
    orders = OrderBook(await books.orders({purchase.order for purchase in part.purchases}) if part.purchases else {})
    for purchase in part.purchases:
        for fact, sign in orders.offer(purchase):
            rollup.add(fact, sign)
    sessions = await _sessions(part, books) if part.activities else {}
    for device in sessions.values():
        for fact, sign in device.changes():
            rollup.add(fact, sign)
    added = rollup.sketches()
    stored = await books.sketches(added) if added else {}
    await books.store(
        Changes(
            counters=rollup.counters(),
            sketches={
                cell: united(stored[cell], sketch) if cell in stored else sketch for cell, sketch in added.items()
            },
            orders=orders.changed,
            activities=part.activities,
            last_sessions={device: changed.last for device, changed in sessions.items()},
            events=part.events,
            newest_event=part.newest_event,
            newest_accepted_at=part.newest_accepted_at,
        )
    )


LOOK_BACK: Final = 48 * 3600 * MICROSECONDS
"""How far before a late event we look for a gap first; devices without one in that time are read whole."""


async def _sessions(part: TenantBatch, books: TenantBooks) -> dict[str, Sessions]:
    """Nearly always a device's events come after its last session; the rest costs one more question for all of them."""
    last = await books.last_sessions(part.activities)
    changed: dict[str, Sessions] = {}
    late: list[str] = []
    for device, activities in part.activities.items():
        activities.sort(key=position)
        appended = append(last.get(device), activities)
        if appended is None:
            late.append(device)
        else:
            changed[device] = appended
    since: Microseconds | None = None
    if late:
        since = max(microseconds(EARLIEST), min(part.activities[device][0].at for device in late) - LOOK_BACK)
    while late:
        histories = await books.histories(late, since)
        again: list[str] = []
        for device in late:
            history, new = histories[device], part.activities[device]
            known = sorted(history.activities, key=position)
            start = certain_start(known, new[0].at, complete=history.complete)
            if start is None:
                again.append(device)
            else:
                changed[device] = resplit(known[start:], new)
        late, since = again, None
    return changed
