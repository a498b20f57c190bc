"""Memory of receipts: a million of them as ingest writes them, in the running mesh's Valkey; taken away again afterwards."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import uuid
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from weir_common.ids import EventId, TenantId
from weir_common.kafka.topics import EVENTS
from weir_common.privacy.vault import SUBJECT_BYTES, unpacked_subject
from weir_common.settings import ValkeySettings
from weir_common.valkey import valkey_client
from weir_ingest.adapters.valkey_receipts import ValkeyReceipts
from weir_ingest.domain.receipt import KeptReceipt, Receipt
from weir_local.addresses import environment_of
from weir_local.demo.report import Measure, environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.shown import show

COUNT: Final = 1_000_000
BATCH: Final = 1_000
BOUND_BYTES: Final = 250 * 1_048_576
_TTL_SECONDS: Final = 86_400
_TIMEOUT_SECONDS: Final = 10.0


async def main() -> int:
    """0 when a million receipts fit the bound and each is found again."""
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    url = environment_of(mesh, "ingest")["WEIR_INGEST_VALKEY__URL"]
    tenant = TenantId(f"bench-receipts-{secrets.token_hex(4)}")
    async with valkey_client(
        ValkeySettings.model_validate({"url": url, "timeout_seconds": _TIMEOUT_SECONDS})
    ) as client:
        store = ValkeyReceipts(client, ttl_seconds=_TTL_SECONDS, timeout_seconds=_TIMEOUT_SECONDS)
        before = await _used(client)
        batches: list[list[EventId]] = []
        found = 0
        try:
            for start in range(0, COUNT, BATCH):
                ids = [EventId(str(uuid.uuid4())) for _ in range(BATCH)]
                batches.append(ids)
                receipts = {
                    event_id: KeptReceipt(
                        Receipt(EVENTS, number % 12, 1_000_000 + start + number, "2026-11-25T10:30:00.123456Z"),
                        unpacked_subject(os.urandom(SUBJECT_BYTES)),
                    )
                    for number, event_id in enumerate(ids)
                }
                await store.save(tenant, receipts)
                if start % (COUNT // 10) == 0:
                    print(f"  {start:>9,} receipts", flush=True)
            used = await _used(client) - before
            for ids in batches:
                found += len(await store.find(tenant, ids))
        finally:
            for ids in batches:
                await client.unlink(*(f"receipt:{tenant}:{event_id}" for event_id in ids))
    measures = [
        Measure("bytes_per_million_receipts", used, "bytes", f"<= {BOUND_BYTES}", used <= BOUND_BYTES, "used_memory after less before"),
        Measure("receipts_lost", COUNT - found, "receipts", "== 0", found == COUNT, "looked up again"),
    ]  # fmt: skip
    show(measures)
    file = mesh.state / "bench" / "receipts.json"
    met = write(file, measures, await asyncio.to_thread(environment, mesh.state.parent), window_seconds=_TTL_SECONDS)
    print(f"  {file}")
    return 0 if met else 1


async def _used(client: Redis) -> int:
    return int((await client.info("memory"))["used_memory"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
