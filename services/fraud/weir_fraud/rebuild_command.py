"""What `weir fraud rebuild` does: fill the histories in Valkey again while the service may go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from weir_common.ids import TenantId
from weir_common.kafka.topics import EVENTS
from weir_common.postgres import postgres_pool
from weir_common.valkey import valkey_client

from weir_fraud.adapters.archive_then_log import ArchiveThenLog
from weir_fraud.adapters.archived_payments import ArchivedPayments, ArchiveSettings
from weir_fraud.adapters.past_payments import PastPayments
from weir_fraud.adapters.postgres_cases import PostgresCases
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.domain.aggregate import DAY_SECONDS, RETENTION_SECONDS
from weir_fraud.rebuild_features import RebuildFeatures
from weir_fraud.settings import FraudSettings

REACH: Final = timedelta(seconds=RETENTION_SECONDS + DAY_SECONDS)
"""What no feature asks for any more is not put back. A day more: an event may be a day late and still see the whole of its windows."""
TELL_SECONDS: Final = 2.0


class Rebuilt(NamedTuple):
    """What was done."""

    from_archive: int
    from_log: int
    labelled: int
    seconds: float


async def rebuild_histories(
    tenants: Sequence[TenantId],
    since: datetime,
    settings: FraudSettings,
    where: ArchiveSettings,
    say: Callable[[str], None],
) -> Rebuilt:
    """Of these tenants, or of all. `RetryError` if the archive, the log or a store is away: what is done stays, and is not done again."""
    started = time.monotonic()
    archive = await asyncio.to_thread(ArchivedPayments, where)
    try:
        async with (
            postgres_pool(settings.postgres, "weir fraud rebuild") as pool,
            valkey_client(settings.valkey) as valkey,
        ):
            features = ValkeyFeatures(valkey, ())
            await features.load()
            payments = ArchiveThenLog(archive, PastPayments(settings.kafka, EVENTS), since)
            rebuild = RebuildFeatures(payments, PostgresCases(pool, _nothing_to_wake), features)
            progress = _Progress(payments, say)
            telling = asyncio.create_task(progress.run())
            try:
                whose: Sequence[TenantId | None] = tenants or [None]
                for tenant_id in whose:
                    progress.of = tenant_id
                    async for batch, _ in rebuild(tenant_id):
                        progress.done += len(batch)
            finally:
                telling.cancel()
                with suppress(asyncio.CancelledError):
                    await telling
    finally:
        await asyncio.to_thread(archive.close)
    return Rebuilt(payments.archived, progress.done - payments.archived, rebuild.labelled, time.monotonic() - started)


class _Progress:
    """Every two seconds: how many, how fast, what is left."""

    def __init__(self, payments: ArchiveThenLog, say: Callable[[str], None]) -> None:
        self._payments = payments
        self._say = say
        self.of: TenantId | None = None
        self.done = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        began, before = time.monotonic(), 0
        while True:
            await asyncio.sleep(TELL_SECONDS)
            rate = (self.done - before) / TELL_SECONDS
            before = self.done
            whose = "" if self.of is None else f" ({self.of})"
            self._say(
                f"{self.done} payments put back{whose}, {rate:.0f}/s, {self._left(self.done / (time.monotonic() - began))}"
            )

    def _left(self, rate: float) -> str:
        """By the rate since the beginning: the archive comes in spans, with none put back while one is read."""
        in_all, archived = self._payments.archived_in_all, self._payments.archived
        if in_all is None:
            return "the archive is being counted"
        # Records that are no payments after all are counted, too: at the end a few may seem to be left.
        if archived < in_all:
            seconds = f", some {(in_all - archived) / rate:.0f} s" if rate else ""
            return f"{in_all - archived} of {in_all} in the archive left{seconds}, then the log"
        records = self._payments.records_left
        return "the log is being opened" if records is None else f"{records} records of the log left"


def _nothing_to_wake() -> None:
    """Nothing is written to the outbox here."""
