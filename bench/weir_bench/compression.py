"""``python -m weir_bench.compression``: what it costs to write one protected event to the log and to read it four times. Prints medians.

The events differ as a shop's do: who, when and what is sealed. Two make a batch, as when a request's twenty go to a dozen partitions.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import codec
from weir_common.events import decode_event, encode_event
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory

ROUNDS: Final = 25
EVENTS: Final = 60
BATCH: Final = 2
READERS: Final = 4
"""The consumers of `commerce.events`: scores, rules, dashboards and the archive."""
EVENT: Final = Path(__file__).with_name("event.json")

Code = Callable[[bytes], bytes]
CODECS: Final[dict[str, tuple[Code, Code]]] = {
    "snappy": (codec.snappy_encode, codec.snappy_decode),
    "zstd": (codec.zstd_encode, codec.zstd_decode),
    "lz4": (codec.lz4_encode, codec.lz4_decode),
}


async def _batches() -> list[bytes]:
    document: dict[str, Any] = msgspec.json.decode(EVENT.read_bytes())
    events = []
    for _ in range(EVENTS):
        document["event_metadata"]["event_id"] = str(uuid.uuid4())
        user = document["event_data"]["user_context"]
        user["user_id"] = user["anonymous_id"] = f"u-{uuid.uuid4()}"
        events.append(decode_event(msgspec.json.encode(document)).event)
    protected = await vault_in_memory().protect(TenantId(document["tenant_id"]), events)
    texts = [encode_event(event) for event in protected]
    return [b"".join(texts[first : first + BATCH]) for first in range(0, EVENTS, BATCH)]


def _microseconds(call: Code, batches: list[bytes]) -> float:
    started = time.thread_time_ns()
    for batch in batches:
        call(batch)
    return (time.thread_time_ns() - started) / EVENTS / 1_000


def main() -> None:
    """Measure and print."""
    batches = asyncio.run(_batches())
    written: dict[str, list[float]] = {name: [] for name in CODECS}
    read: dict[str, list[float]] = {name: [] for name in CODECS}
    packed = {name: [compress(batch) for batch in batches] for name, (compress, _) in CODECS.items()}
    for _ in range(ROUNDS):
        for name, (compress, decompress) in CODECS.items():
            written[name].append(_microseconds(compress, batches))
            read[name].append(_microseconds(decompress, packed[name]))
    plain = sum(map(len, batches)) / EVENTS
    print(
        f"{EVENTS} protected events of {plain:,.0f} bytes, {BATCH} a batch, {ROUNDS} rounds; microseconds of processor time an event"
    )
    print(f"{'':<10}{'write':>8}{'read':>8}{f'with {READERS} readers':>16}{'bytes':>8}")
    for name in CODECS:
        once, again = statistics.median(written[name]), statistics.median(read[name])
        size = sum(map(len, packed[name])) / EVENTS
        print(f"{name:<10}{once:>8.1f}{again:>8.1f}{once + READERS * again:>16.1f}{size:>8,.0f}")


if __name__ == "__main__":
    main()
