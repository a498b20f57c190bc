"""``python -m weir_bench.privacy``: what it costs to protect one full-size event whose subject is known. Prints median and spread.

Processor time of this thread, so that waiting for a busy machine does not count; what a neighbour on the same core takes does,
which is why each round also times the typed decode of the same event, to compare by: 9 µs on an idle machine.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from weir_common.events import decode_event, encode_event, event_on_the_log
from weir_common.ids import TenantId
from weir_common.privacy.free_text import without_personal_data
from weir_common.privacy.identifiers import identifiers_of
from weir_common.privacy.memory_records import MemoryKeks, MemoryRecords
from weir_common.privacy.protect import protect
from weir_common.privacy.reveal import reveal
from weir_common.privacy.root_key import RootKey
from weir_common.privacy.tenant_keys import TenantKeys
from weir_common.privacy.vault import Vault

ROUNDS = 25
CALLS = 2_000
EVENT = Path(__file__).with_name("event.json")
ORDINARY = "https://google.com/search?q=iphone+15+pro"


def _now() -> datetime:
    return datetime.now(UTC)


def _microseconds(call: Callable[[], object]) -> float:
    started = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - started) / CALLS / 1_000


async def _awaited_microseconds(call: Callable[[], Awaitable[object]]) -> float:
    started = time.thread_time_ns()
    for _ in range(CALLS):
        await call()
    return (time.thread_time_ns() - started) / CALLS / 1_000


async def measure() -> dict[str, list[float]]:
    """Microseconds a call, of each round, by what was called."""
    records, keks = MemoryRecords(), MemoryKeks()
    keys = TenantKeys(RootKey(os.urandom(32)), keks, records, clock=_now)
    vault = Vault(records, keys)
    event = decode_event(EVENT.read_bytes()).event
    tenant_id = TenantId(event.tenant_id)
    identifiers = identifiers_of(event, _now())
    subjects = await vault.resolve(tenant_id, identifiers)
    tokens = await keys.link_tokens(tenant_id)
    protected = protect(event, identifiers, subjects, tokens)
    cipher = subjects[identifiers[0]].cipher
    if reveal(protected, cipher) != event:
        raise AssertionError("what is measured does not come back as it was")
    raw = encode_event(event)
    calls: dict[str, Callable[[], object]] = {
        "protect": lambda: protect(event, identifiers, subjects, tokens),
        "reveal": lambda: reveal(protected, cipher),
        "an ordinary free text": lambda: without_personal_data(ORDINARY),
        "one link token": lambda: tokens.of["device"]("0123456789abcdef"),
        "typed decode, to compare by": lambda: event_on_the_log(raw),
    }
    found: dict[str, list[float]] = {name: [] for name in (*calls, "resolve, two warm subjects")}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(_microseconds(call))
        found["resolve, two warm subjects"].append(
            await _awaited_microseconds(lambda: vault.resolve(tenant_id, identifiers))
        )
    return found


def main() -> None:
    """Measure and print."""
    print(f"{ROUNDS} rounds of {CALLS} calls, microseconds of processor time a call")
    print(f"{'':<30}{'median':>8}{'least':>8}{'10 %':>8}{'90 %':>8}")
    for name, values in asyncio.run(measure()).items():
        tenths = statistics.quantiles(values, n=10)
        print(f"{name:<30}{statistics.median(values):>8.2f}{min(values):>8.2f}{tenths[0]:>8.2f}{tenths[-1]:>8.2f}")


if __name__ == "__main__":
    main()
