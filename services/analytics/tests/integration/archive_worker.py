"""A process of its own that archives one topic until it is killed; run by test_archive_log.py."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import timedelta

import asyncpg
from weir_analytics.adapters.iceberg_archive import IcebergArchive, open_catalogue, open_table
from weir_analytics.adapters.postgres_archive_entries import PostgresArchiveEntries
from weir_analytics.archive_log import ArchiveLog, event_time
from weir_analytics.enter_archived import EnterArchived
from weir_common.settings import KafkaSettings


async def main(order: dict[str, str]) -> None:
    table = open_table(open_catalogue(order["dsn"], order["warehouse"]), order["table"])
    archive = IcebergArchive(table, kept_snapshots=timedelta(seconds=5), expire_every_commits=5)
    pool = await asyncpg.create_pool(order["books"], min_size=1, max_size=2, timeout=5, command_timeout=5)
    entries = PostgresArchiveEntries(pool, "analytics", order["table"])
    archiving = ArchiveLog(
        topic=order["topic"],
        table=order["table"],
        archive=archive,
        enter=EnterArchived(f"test.lake.{order['table']}", archive, entries),
        time_of=event_time,
        kafka=KafkaSettings(bootstrap_servers=order["kafka"]),
        commit_seconds=float(order["commit_seconds"]),
        max_buffered_bytes=20_000,
        group=order["group"],
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("started", flush=True)
    await archiving.run(stop)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
