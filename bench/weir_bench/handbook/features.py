# ruff: noqa: E501 - measures read best as the lines of a table
"""Payments of the Fraud Detection Handbook through gateway, ingest and Kafka into the features in Valkey.

The service takes them in as history while they come. Then all of the tenant's histories are deleted and filled anew from the log, as
after the loss of Valkey: what the features are for each payment is compared with the published values, and the histories with those of
before.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from weir_common.ids import TenantId
from weir_common.kafka.topics import EVENTS
from weir_common.postgres import postgres_pool
from weir_common.valkey import valkey_client
from weir_fraud.adapters.past_payments import PastPayments
from weir_fraud.adapters.postgres_cases import PostgresCases
from weir_fraud.adapters.valkey_features import LAYOUT, ValkeyFeatures
from weir_fraud.domain.aggregate import RETENTION_SECONDS
from weir_fraud.domain.catalogue import Catalogue, catalogue_of, load_catalogue
from weir_fraud.domain.payment import MICROSECONDS, OBSERVATION_BYTES
from weir_fraud.rebuild_features import RebuildFeatures
from weir_fraud.settings import FraudSettings
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure
from weir_local.mesh import Mesh

from weir_bench.handbook.door import Door
from weir_bench.handbook.published import (
    CUSTOMER_COUNTS,
    CUSTOMER_MEANS,
    FEATURES,
    LONGEST_WINDOW_DAYS,
    PUBLISHED_DAYS,
    TERMINAL,
    Transactions,
    moved,
    read_features,
    read_transactions,
    transaction_of,
)
from weir_bench.machine import slowness
from weir_bench.mesh_books import greatest_lag
from weir_bench.tenants import make_tenants

LEAST_EQUAL: Final = 0.99998
LEAST_RATE: Final = 20_000
MEANS_TOLERANCE: Final = 1e-9
"""Relative: sums of floats in another order."""
ROUNDING: Final = 1e-15
"""A rate is one division of whole numbers; the last bit may be rounded otherwise."""
QUOTA: Final = 50_000


class Replayed:
    """The features of each payment as they were when it came, by transaction."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.names = catalogue.names()
        self.ids: list[int] = []
        self.rows: list[list[float]] = []
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    def values(self, ids: NDArray[np.int64], name: str) -> NDArray[np.float64]:
        """Of these transactions; nan for one that did not come."""
        order = np.argsort(np.asarray(self.ids))
        own = np.asarray(self.ids)[order]
        places = np.clip(np.searchsorted(own, ids), 0, len(own) - 1)
        column = np.asarray(self.rows)[order, self.names.index(name)][places]
        return np.where(own[places] == ids, column, np.nan)


async def measure_features(mesh: Mesh, folder: Path, days: tuple[int, int]) -> list[Measure]:
    """Needs a mesh that runs; prints what it does."""
    data = read_transactions(folder, *days)
    print(
        f"{len(data)} payments of days {days[0]} to {days[1] - 1}, {int(data.frauds.sum())} of them fraud", flush=True
    )
    slow = [slowness()]
    catalogue = load_catalogue()
    wanted = catalogue_of([catalogue[name] for name in FEATURES.values()])
    os.environ.update(environment_of(mesh, "fraud"))
    settings = FraudSettings()
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway.of(mesh))
        valkey = await stack.enter_async_context(valkey_client(settings.valkey))
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, "bench-handbook"))
        tenant = (await make_tenants(gateway, 1, quota_events_per_second=QUOTA))[0]
        tenant_id = TenantId(tenant.id)
        door = Door(gateway, tenant, uuid.uuid4(), moved(datetime.now(UTC)))
        labels = await door.labels(data, np.arange(len(data)))
        print(f"{labels} chargebacks told", flush=True)
        started = time.monotonic()
        await door.payments(data, range(*days), said(len(data)))
        door_rate = len(data) / (time.monotonic() - started)
        await taken_in(mesh)
        applied_rate = len(data) / (time.monotonic() - started)
        before = await _histories(valkey, tenant_id)
        await _delete(valkey, list(before))
        print(f"{len(before)} histories filled by the service, now deleted and filled anew from the log", flush=True)
        features = ValkeyFeatures(valkey, wanted.plan)
        await features.load()
        rebuild = RebuildFeatures(PastPayments(settings.kafka, EVENTS), PostgresCases(pool, lambda: None), features)
        replayed = await _replay(rebuild, tenant_id, wanted)
        after = await _histories(valkey, tenant_id)
        memory = sum(len(history) for history in after.values())
        await _delete(valkey, list(after))
    slow.append(slowness())
    equal = sum(_kept(after.get(key, b"")) == _kept(history) for key, history in before.items()) / max(
        1, len(before.keys() | after.keys())
    )
    came = len(set(replayed.ids) & set(data.ids.tolist()))
    terminal, counts, means = _shares(data, folder, replayed, days)
    rate = len(replayed.ids) / replayed.seconds
    return [
        Measure("terminal_features_equal", terminal, "share", "== 1", terminal == 1, "payments whose six terminal features are exactly the published ones"),
        Measure("customer_counts_equal", counts, "share", f">= {LEAST_EQUAL}", counts >= LEAST_EQUAL, "payments whose three customer counts are the published ones; those of one second are ordered otherwise there"),
        Measure("customer_means_equal", means, "share", "reported", True, "payments whose three customer means are the published ones, to 1e-9"),
        Measure("payments_replayed", came, "payments", f"== {len(data)}", came == len(data) == len(replayed.ids), "each once, of those that went in at the gateway"),
        Measure("histories_rebuilt_equal", equal, "share", "== 1", equal == 1, f"of {len(before)} histories, every row that is young enough to be read, byte for byte: filled by the service as the payments came, and anew from the log"),
        Measure("replay_rate", round(rate, 0), "payments/s", f">= {LEAST_RATE}", rate >= LEAST_RATE, "from the log into Valkey, update and answer of the twelve features"),
        Measure("replay_cpu_us", round(replayed.cpu_seconds / len(replayed.ids) * 1e6, 1), "us", "reported", True, "of the program that replays, a payment; Valkey's own is beside it"),
        Measure("door_rate", round(door_rate, 0), "payments/s", "reported", True, "through the gateway, every other service at work"),
        Measure("applied_rate", round(applied_rate, 0), "payments/s", "reported", True, "until fraud had them in its histories"),
        Measure("bytes_a_history", round(memory / max(1, len(after)), 0), "bytes", "reported", True, f"of {len(after)} customers and terminals, at the end of the data"),
        Measure("machine_slowness", max(slow), "ratio", "reported", True, f"before and after: {slow[0]}, {slow[1]}"),
    ]  # fmt: skip


async def _replay(rebuild: RebuildFeatures, tenant_id: TenantId, catalogue: Catalogue) -> Replayed:
    replayed = Replayed(catalogue)
    answers = []
    started, cpu = time.monotonic(), time.process_time()
    async for payments, snapshots in rebuild(tenant_id):
        answers.append((payments, snapshots))
    replayed.seconds, replayed.cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    for payments, snapshots in answers:
        replayed.ids += [transaction_of(payment.event_id) for payment in payments]
        replayed.rows += [
            catalogue.vector(payment, snapshot, replayed.names)
            for payment, snapshot in zip(payments, snapshots, strict=True)
        ]
    return replayed


def _shares(data: Transactions, folder: Path, replayed: Replayed, days: tuple[int, int]) -> tuple[float, float, float]:
    """Of the published rows whose windows lie within the days that were sent."""
    ids, published = read_features(folder)
    whole = data.ids[data.seconds >= (days[0] + LONGEST_WINDOW_DAYS if days[0] else 0) * 86_400]
    chosen = np.isin(ids, whole)
    if not chosen.any():
        raise SystemExit(f"none of the published features lie in these days; they are of {PUBLISHED_DAYS}")

    def share(names: dict[str, str], tolerance: float) -> float:
        equal = np.ones(int(chosen.sum()), dtype=bool)
        for name in names.values():
            ours, theirs = replayed.values(ids[chosen], name), published[name][chosen]
            equal &= np.abs(ours - theirs) <= tolerance * np.maximum(1, np.abs(theirs))
        return float(equal.mean())

    return share(TERMINAL, ROUNDING), share(CUSTOMER_COUNTS, 0), share(CUSTOMER_MEANS, MEANS_TOLERANCE)


async def taken_in(mesh: Mesh) -> None:
    """Until fraud has applied all that is on the log. The others may take longer: a past of many minutes is more work for rollups."""
    async with asyncio.timeout(1_200), httpx.AsyncClient(timeout=10) as client:
        while True:
            try:
                page = await client.get(f"http://127.0.0.1:{mesh.port('fraud-http')}/metrics")
                if greatest_lag("fraud", page.text) <= 0:
                    return
            except httpx.TransportError as error:
                print(f"  fraud did not answer, it is asked again: {error!r}", flush=True)
            await asyncio.sleep(1)


async def _histories(valkey: Redis, tenant_id: TenantId) -> dict[bytes, bytes]:
    keys = [key async for key in valkey.scan_iter(f"fraud:{{{tenant_id}}}:{LAYOUT}:*", count=5_000)]
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), 500):
        chunk = keys[start : start + 500]
        found |= {key: value or b"" for key, value in zip(chunk, await valkey.mget(chunk), strict=True)}
    return found


def _kept(history: bytes) -> list[bytes]:
    """The rows that a payment at the time of the newest may still see. What is older is forgotten now or later, by who comes when.

    In order: two of the same second stand as they arrived, and arrive by two partitions.
    """
    rows = [history[start : start + OBSERVATION_BYTES] for start in range(0, len(history), OBSERVATION_BYTES)]
    times = [int.from_bytes(row[:8], "little", signed=True) for row in rows]
    oldest = max(times, default=0) - RETENTION_SECONDS * MICROSECONDS
    return sorted(row for row, at in zip(rows, times, strict=True) if at > oldest)


async def _delete(valkey: Redis, keys: list[bytes]) -> None:
    for start in range(0, len(keys), 500):
        await valkey.unlink(*keys[start : start + 500])


def said(whole: int) -> Callable[[int, float], None]:
    last = 0.0

    def say(sent: int, seconds: float) -> None:
        nonlocal last
        if seconds - last >= 10:
            last = seconds
            print(f"  {sent} of {whole} payments accepted, {sent / seconds:.0f}/s", flush=True)

    return say
