"""What `weir fraud backtest` does: read both models and the payments, compare."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
from weir_common.ids import TenantId
from weir_common.postgres import postgres_pool

from weir_fraud.adapters.archived_payments import ArchiveSettings
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.onnx_model import load_model, open_model
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.adapters.registered_models import RegisteredModels
from weir_fraud.domain.catalogue import Catalogue, catalogue_of, load_catalogue
from weir_fraud.domain.model_stage import Stage
from weir_fraud.domain.promotion_gate import Backtest
from weir_fraud.errors import BacktestRefused
from weir_fraud.load_models import LoadModel
from weir_fraud.ports import ModelRegistry, WhatIfModel
from weir_fraud.settings import FraudSettings
from weir_fraud.training.archive.backtest import Seen, Span, compare, features_of, seen_before
from weir_fraud.training.archive.command import Say, labels_known, rows_of


@dataclass(frozen=True)
class BacktestOrder:
    """Which version is to be compared; `model`: its folder, where it is not registered yet."""

    version: str | None
    model: Path | None
    tenants: tuple[TenantId, ...]
    span: Span


@dataclass(frozen=True)
class Compared:
    """`seen`: what of the period a model knew before. If there is any, the figures are no evidence."""

    backtest: Backtest
    seen: tuple[Seen, ...]


async def backtest_on_archive(
    order: BacktestOrder, settings: FraudSettings, archive: ArchiveSettings, say: Say
) -> Compared:
    """`BacktestRefused`; `ModelVersionMissing`, `ModelMissing`; `RetryError` if the archive or a store is away."""
    catalogue = load_catalogue()
    async with postgres_pool(settings.postgres, "weir fraud backtest") as pool:
        candidate, champion = await _models(order, settings, catalogue, pool)
        seen = (*seen_before(candidate.card, order.span), *seen_before(champion.card, order.span))
        as_of = order.span.as_of
        known = {tenant_id: await labels_known(pool, tenant_id, as_of) for tenant_id in order.tenants}
    say(f"{sum(map(len, known.values()))} labels that were known at {as_of:%Y-%m-%d %H:%M} UTC")
    asked = catalogue_of(catalogue[name] for name in features_of((candidate, champion), catalogue.names()))
    rows, _ = await asyncio.to_thread(rows_of, archive, known, asked, order.span.since, order.span.until, say)
    compared = await asyncio.to_thread(compare, rows, candidate, champion, order.span)
    say(f"{len(rows)} payments scored by {candidate.card.version} and {champion.card.version}")
    return Compared(compared, seen)


async def _models(
    order: BacktestOrder, settings: FraudSettings, catalogue: Catalogue, pool: asyncpg.Pool
) -> tuple[WhatIfModel, WhatIfModel]:
    registry: ModelRegistry = PostgresModels(pool, lambda: None)
    serving = await registry.serving(None)
    served = () if serving is None else serving.versions
    champion = next((one.version for one in served if one.stage is Stage.CHAMPION), None)
    if champion is None:
        raise BacktestRefused("There is no champion that a version could be compared with.")
    store = await asyncio.to_thread(open_object_files, settings.models.store_uri)
    versions = RegisteredModels(
        ModelFolder(settings.model_dir, catalogue), registry, LoadModel(store, partial(open_model, catalogue=catalogue))
    )
    candidate = await _candidate(order, versions, catalogue)
    if candidate.card.version == champion:
        raise BacktestRefused(f"{champion} is the champion; it is compared with others, not with itself.")
    return candidate, await versions.get(champion)


async def _candidate(order: BacktestOrder, versions: RegisteredModels, catalogue: Catalogue) -> WhatIfModel:
    if order.model is not None:
        model = await asyncio.to_thread(load_model, order.model, catalogue)
        if order.version not in (None, model.card.version):
            raise BacktestRefused(f"{order.model} has {model.card.version}, not {order.version}.")
        return model
    if order.version is None:
        raise BacktestRefused("Name a version of the registry, or the folder of one with --model.")
    return await versions.get(order.version)
