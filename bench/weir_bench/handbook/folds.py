# ruff: noqa: E501 - measures read best as the lines of a table
"""The handbook's four folds through the live path, as a merchant's months with Weir.

The past is imported. Then day by day: each payment is scored by gRPC in the order of time, comes through the door as an event afterwards,
and the chargebacks that are due on that day come back. Before each test week `weir fraud train` makes a model of the archive as of
that morning, which knows no label that is younger than a week, and the tenant is given it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
import numpy as np
from numpy.typing import NDArray
from weir.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from weir_common.grpc import grpc_channel
from weir_common.ids import TenantId
from weir_fraud.adapters.archived_payments import ArchivedPayments, ArchiveSettings
from weir_fraud.training.archive.rows import REACH
from weir_local.addresses import environment_of
from weir_local.demo.api import Gateway
from weir_local.demo.report import Measure
from weir_local.mesh import Mesh

from weir_bench.handbook.door import KNOWN_AFTER, Door
from weir_bench.handbook.features import QUOTA, said, taken_in
from weir_bench.handbook.protocol import (
    BEST_PUBLISHED,
    PUBLISHED,
    Fold,
    expected_ceiling,
    figures,
    folds,
    measured_rows,
)
from weir_bench.handbook.published import DAY_SECONDS, Transactions, moved, read_transactions
from weir_bench.load_generator import LoadTenant
from weir_bench.tenants import make_tenants

TRAINING_DAYS: Final = 56
BOOSTERS: Final = 3
FEATURES: Final = (
    "amount*",
    "user_payment_count_*",
    "user_payment_mean_*",
    "user_max_*",
    "merchant_payment_count_*_delayed_*",
    "merchant_fraud_*",
    "night",
    "weekend",
)
"""What the data tells of; what it does not tell is left out by the training, too."""
LEAST: Final = (0.885, 0.72, 0.31)
A_CALL: Final = 100
LANES: Final = 4
"""Each has its own customers, whose payments stay in order; all wait for each other at the end of a day."""
_MODELS: Final = "/api/v2/ml/models/fraud"
_NAMES: Final = ("auc", "average_precision", "card_precision_100")
_TRIES: Final = 60
_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)


async def measure_folds(mesh: Mesh, folder: Path, training_days: int) -> list[Measure]:
    """Needs a mesh that runs; prints what it does."""
    weeks = folds()
    # What the oldest payment that is learnt from looks back on.
    first = weeks[0].training_end - training_days - REACH.days
    data = read_transactions(folder, first, weeks[-1].test_end)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway.of(mesh))
        channel = await stack.enter_async_context(grpc_channel(f"127.0.0.1:{mesh.port('fraud-grpc')}"))
        (tenant,) = await make_tenants(gateway, 1, quota_events_per_second=QUOTA)
        live = LivePath(mesh, gateway, channel, tenant, data, training_days)
        await live.past(range(first, weeks[0].test_day))
        results = []
        for fold in weeks:
            version = await live.model(fold)
            await live.week(fold)
            rows = measured_rows(data, fold)
            results.append(figures(data, rows, live.scores[rows]))
            auc, precision, cards = results[-1]
            print(f"  fold {fold.number + 1}: {len(rows)} payments, {int(data.frauds[rows].sum())} of them fraud, by {version}: AUC {auc:.3f}, average precision {precision:.3f}, card precision@100 {cards:.3f}", flush=True)  # fmt: skip
    _table(results[0])
    means = np.mean(results, axis=0)
    ceiling = np.mean([expected_ceiling(data, measured_rows(data, fold)) for fold in weeks], axis=0).tolist()
    spread = np.std(results, axis=0)
    return [
        *(
            Measure(
                name,
                round(float(mean), 4),
                "1",
                f">= {least}",
                bool(mean >= least),
                f"mean of the four folds, ± {deviation:.3f}, the mean of {BOOSTERS} boosters that learnt from {training_days} days; the best published is {best}",
            )
            for name, mean, deviation, least, best in zip(_NAMES, means, spread, LEAST, BEST_PUBLISHED, strict=True)
        ),
        Measure("auc_ceiling", round(ceiling[0], 4), "1", "reported", True, "mean of the folds: what the best model can expect; frauds at terminals of which no fraud is known yet are as honest payments"),
        Measure("average_precision_ceiling", round(ceiling[1], 4), "1", "reported", True, "the same"),
        Measure("scored", live.scored, "payments", f"== {live.asked}", live.scored == live.asked, "by gRPC, in batches of 100, each decided by the model of its fold"),
        Measure("degraded", live.degraded, "payments", "== 0", live.degraded == 0, "decided by another model, or without histories; the figures above are then not the model's"),
        Measure("scoring_rate", round(live.scored / live.seconds, 0), "payments/s", "reported", True, "by ScoreTransactions, four callers, decisions stored and explained"),
    ]  # fmt: skip


def _table(ours: tuple[float, float, float]) -> None:
    """The first fold beside the table that was published for it."""
    print(f"  {'the baseline split':30} {'AUC ROC':>8} {'AP':>8} {'CP@100':>8}")
    for name, figures_ in {**PUBLISHED, "Weir, through the live path": ours}.items():
        print(f"  {name:30} " + " ".join(f"{figure:8.3f}" for figure in figures_), flush=True)


class LivePath:
    """One tenant's months. `scores`: of each row of the data, nan where it was imported only."""

    def __init__(
        self, mesh: Mesh, gateway: Gateway, channel: grpc.aio.Channel, tenant: LoadTenant, data: Transactions, days: int
    ) -> None:
        self._mesh = mesh
        self._gateway = gateway
        self._stub = fraud_pb2_grpc.FraudServiceStub(channel)
        self._tenant = tenant
        self._data = data
        self._training_days = days
        self._door = Door(gateway, tenant, uuid.uuid4(), moved(datetime.now(UTC)))
        self._day = data.seconds // DAY_SECONDS
        self._told = 0
        self.scores = np.full(len(data), np.nan)
        self.asked = 0
        self.scored = 0
        self.degraded = 0
        """Decided by another model or without histories: the mesh was overloaded, and the figures are not the model's."""
        self.seconds = 0.0

    async def past(self, days: range) -> None:
        """What was before Weir: labels first, so that the payments find them. Each counts from when it became known on."""
        rows = np.flatnonzero(np.isin(self._day, days))
        await self._door.labels(self._data, rows)
        print(f"  {len(rows)} payments of days {days.start} to {days.stop - 1} are imported", flush=True)
        await self._door.payments(self._data, days, said(len(rows)))
        await taken_in(self._mesh)
        self._told = int(rows[-1]) + 1

    async def model(self, fold: Fold) -> str:
        """Train the model of the fold and give it to the tenant; its version."""
        as_of = self._door.at(fold.test_day * DAY_SECONDS)
        await self._archived(fold)
        started = time.monotonic()
        folder = self._mesh.state / "bench" / f"handbook-fold-{fold.number + 1}"
        command = [
            str(Path(sys.executable).parent / "weir"), "fraud", "train", "--tenant", self._tenant.id, "--as-of", f"{as_of:%Y-%m-%dT%H:%M:%S}",
            "--days", str(self._training_days), "--boosters", str(BOOSTERS), "--output", str(folder), "--register", "--json", *(part for feature in FEATURES for part in ("--feature", feature)),
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(1_200):
            output, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"`weir fraud train` ended with {process.returncode}")
        version: str = json.loads(output)["version"]
        print(f"  fold {fold.number + 1}: {version} trained in {time.monotonic() - started:.0f} s", flush=True)
        await self._give(version)
        return version

    async def week(self, fold: Fold) -> None:
        """Score the days that are measured."""
        for day in range(fold.test_day, fold.test_end):
            rows = np.flatnonzero(self._day == day)
            started = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for lane in range(LANES):
                    group.create_task(self._score(rows[self._data.customers[rows] % LANES == lane]))
            self.seconds += time.monotonic() - started
            self.asked += len(rows)
            self.scored = int(np.isfinite(self.scores).sum())
            await self._door.payments(self._data, range(day, day + 1), lambda _, __: None)
            await self._labels_until(day + 1)
            await taken_in(self._mesh)

    async def _labels_until(self, day: int) -> None:
        """Chargebacks of scored payments that become known before a day begins."""
        due = self._data.seconds + int(KNOWN_AFTER.total_seconds()) < day * DAY_SECONDS
        end = int(due.sum())
        if end > self._told:
            await self._door.labels(self._data, np.arange(self._told, end), decided=True)
            self._told = end

    async def _score(self, rows: NDArray[np.int64]) -> None:
        for start in range(0, len(rows), A_CALL):
            chunk = rows[start : start + A_CALL].tolist()
            request = fraud_pb2.ScoreTransactionsRequest(
                tenant_id=self._tenant.id,
                events=[msgspec.json.encode(self._door.event(self._data, row)) for row in chunk],
            )
            for row, result in zip(chunk, await self._asked(request), strict=True):
                if result.WhichOneof("result") != "decision":
                    raise RuntimeError(f"row {row} was refused: {result.refusal.detail}")
                self.scores[row] = result.decision.score
                self.degraded += bool({"features_unavailable", "model_fallback"} & set(result.decision.degraded))

    async def _asked(self, request: Any) -> Sequence[Any]:
        for _ in range(_TRIES):
            try:
                answer = await self._stub.ScoreTransactions(
                    request, metadata=(("x-api-key", self._tenant.key),), timeout=5
                )
            except grpc.aio.AioRpcError as error:
                # A decision that was made and not heard of is given again.
                if error.code() not in _AGAIN:
                    raise
                await asyncio.sleep(0.2)
                continue
            results: Sequence[Any] = answer.results
            return results
        raise RuntimeError(f"{len(request.events)} payments were refused {_TRIES} times")

    async def _archived(self, fold: Fold) -> None:
        """Until the archive has what the fold learns from."""
        lake = environment_of(self._mesh, "analytics")
        settings = ArchiveSettings(
            warehouse=lake["WEIR_ANALYTICS_LAKE__WAREHOUSE"], catalog_dsn=lake["WEIR_ANALYTICS_LAKE__CATALOG_DSN"]
        )
        since, until = self._door.at(int(self._day[0]) * DAY_SECONDS), self._door.at(fold.training_end * DAY_SECONDS)
        expected = int((self._day < fold.training_end).sum())

        def count() -> int:
            archive = ArchivedPayments(settings)
            try:
                return archive.count(TenantId(self._tenant.id), since, until)
            finally:
                archive.close()

        async with asyncio.timeout(1_200):
            while (found := await asyncio.to_thread(count)) < expected:
                print(f"  {found} of {expected} payments are in the archive", flush=True)
                await asyncio.sleep(10)
        if found != expected:
            raise RuntimeError(f"the archive has {found} payments, {expected} were accepted")

    async def _give(self, version: str) -> None:
        path = f"{_MODELS}/override?tenant_id={self._tenant.id}"
        known = (await self._gateway.operator("GET", f"{_MODELS}/versions/{version}")).raise_for_status()
        if known.json()["stage"] != "challenger":
            # There is no champion of this data to be measured against.
            body = {"stage": "challenger", "note": "bench-handbook", "override_gate": "bench-handbook measures it"}
            promoted = await self._gateway.operator("POST", f"{_MODELS}/versions/{version}/promote", json=body)
            promoted.raise_for_status()
        (await self._gateway.operator("PUT", path, json={"version": version, "note": "bench-handbook"})).raise_for_status()  # fmt: skip
        headers = {"x-api-key": self._tenant.key}
        async with asyncio.timeout(30):
            while (await self._gateway.client.get(_MODELS, headers=headers)).json()["version"] != version:  # noqa: ASYNC110 - the registry is looked at each second
                await asyncio.sleep(0.2)
