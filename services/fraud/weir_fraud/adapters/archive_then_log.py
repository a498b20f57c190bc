"""All payments of the last weeks in the order of their acceptance: from the archive, then from the log what that does not have yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from weir_common.ids import TenantId

from weir_fraud.adapters.archived_payments import ArchivedPayments
from weir_fraud.adapters.past_payments import PastPayments
from weir_fraud.domain.payment import Payment, moment_of

MOST_AT_ONCE: Final = 20_000
"""Payments that are held, to be put in order: a kilobyte each. More only if a single minute has more."""
_MINUTE: Final = 60_000_000


class ArchiveThenLog:
    """See `PaymentLog`. Of one snapshot of the archive, and of the log from where that ends to where it ends itself by then."""

    def __init__(self, archive: ArchivedPayments, log: PastPayments, since: datetime) -> None:
        """Payments that happened at ``since`` or later."""
        self._archive = archive
        self._log = log
        self._since = since
        self.archived = 0
        """How many came from the archive."""
        self.archived_in_all: int | None = None
        """How many there are in the archive; None until they are counted."""

    @property
    def records_left(self) -> int | None:
        """Of the log, payments and others; None before it is read."""
        return self._log.records_left

    async def batches(self, size: int, tenant_id: TenantId | None = None) -> AsyncIterator[list[Payment]]:
        """`size` payments at most at a time. `ArchiveUnavailable`, `FeatureStoreUnavailable` (retry)."""
        # A sender's clock may be ahead: such a payment was accepted before it happened.
        accepted_since = self._since - timedelta(days=1)
        counts = await asyncio.to_thread(self._archive.accepted_a_minute, tenant_id, self._since, accepted_since)
        self.archived_in_all = (self.archived_in_all or 0) + sum(counts.values())
        for first, last in spans(counts):
            begin, end = moment_of(first * _MINUTE), moment_of((last + 1) * _MINUTE)
            found = await asyncio.to_thread(self._archive.accepted, tenant_id, self._since, begin, end)
            found.sort(key=lambda one: one.arrival)
            for start in range(0, len(found), size):
                batch = [one.payment for one in found[start : start + size]]
                self.archived += len(batch)
                yield batch
        async for batch in self._log.batches(size, tenant_id, self._archive.next_offsets):
            recent = [payment for payment in batch if payment.at >= self._since]
            if recent:
                yield recent


def spans(counts: Mapping[int, int], most: int = MOST_AT_ONCE) -> Iterator[tuple[int, int]]:
    """First and last minute of spans of at most so many payments, in order, that have all of them together."""
    first, held, last = None, 0, 0
    for minute in sorted(counts):
        if first is not None and held + counts[minute] > most:
            yield first, last
            first, held = None, 0
        first = minute if first is None else first
        held += counts[minute]
        last = minute
    if first is not None:
        yield first, last
