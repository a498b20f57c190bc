"""What `weir fraud train` does: read, train, write, register."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.postgres import postgres_pool, tenant_transaction

from weir_fraud.adapters.archived_payments import ArchivedPayments, ArchiveSettings
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.postgres_labels import labels_until
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.domain.catalogue import Catalogue, catalogue_of, load_catalogue
from weir_fraud.domain.label import known_of
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.payment import Known
from weir_fraud.errors import ModelRefused
from weir_fraud.load_models import PublishModel
from weir_fraud.settings import FraudSettings
from weir_fraud.training.archive.recipe import Recipe
from weir_fraud.training.archive.rows import Rows, archived_rows
from weir_fraud.training.archive.train import train_from_rows
from weir_fraud.training.artifacts import CARD, write

LABELS_SECONDS: Final = 120.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What is to be trained, and where it goes. `features`: names or patterns, none for all."""

    tenants: tuple[TenantId, ...]
    recipe: Recipe
    features: tuple[str, ...]
    output: Path
    register: bool


async def train_on_archive(order: Order, settings: FraudSettings, archive: ArchiveSettings, say: Say) -> ModelCard:
    """The card of the model, whose files are in the folder. `ModelRefused`; `RetryError` if the archive or a store is away."""
    catalogue = _chosen(load_catalogue(), order.features)
    async with postgres_pool(settings.postgres, "weir fraud train") as pool:
        known = {tenant_id: await labels_known(pool, tenant_id, order.recipe.as_of) for tenant_id in order.tenants}
        say(f"{sum(map(len, known.values()))} labels that were known at {order.recipe.as_of:%Y-%m-%d %H:%M} UTC")
        files = await asyncio.to_thread(_train, order, archive, catalogue, known, say)
        card = msgspec.json.decode(files[CARD], type=ModelCard)
        write(order.output, files)
        if order.register:
            store = await asyncio.to_thread(open_object_files, settings.models.store_uri)
            registry = PostgresModels(pool, lambda: None)
            await PublishModel(store, registry, lambda: datetime.now(UTC))(card, files)
            say(f"{card.version} registered")
    return card


def _chosen(catalogue: Catalogue, patterns: Sequence[str]) -> Catalogue:
    if not patterns:
        return catalogue
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in catalogue.names()):
            raise ModelRefused(f"There is no feature {pattern}.")
    return catalogue_of(
        catalogue[name] for name in catalogue.names() if any(fnmatchcase(name, pattern) for pattern in patterns)
    )


async def labels_known(pool: asyncpg.Pool, tenant_id: TenantId, until: datetime) -> Mapping[EventId, Known]:
    async with asyncio.timeout(LABELS_SECONDS), tenant_transaction(pool, tenant_id, readonly=True) as connection:
        labels = await labels_until(connection, tenant_id, until)
    return {event_id: known_of(said) for event_id, said in labels.items()}


def _train(
    order: Order,
    settings: ArchiveSettings,
    catalogue: Catalogue,
    known: Mapping[TenantId, Mapping[EventId, Known]],
    say: Say,
) -> Mapping[str, bytes]:
    rows, snapshot = rows_of(settings, known, catalogue, order.recipe.since, order.recipe.until, say)
    data = {"data": "archive", "tenants": list(order.tenants), "snapshot": snapshot}
    return train_from_rows(rows, catalogue, order.recipe, data, say)


def rows_of(
    settings: ArchiveSettings,
    known: Mapping[TenantId, Mapping[EventId, Known]],
    catalogue: Catalogue,
    since: datetime,
    until: datetime,
    say: Say,
) -> tuple[Rows, int | None]:
    """Of all tenants in `known`, and the snapshot of the archive that they are from."""
    archive = ArchivedPayments(settings)
    try:
        parts: list[Rows] = []
        for tenant_id, labels in known.items():
            part = archived_rows(archive, tenant_id, labels, catalogue, since, until)
            say(f"{tenant_id}: {len(part)} payments from {since:%Y-%m-%d} on, features as they were")
            parts.append(part)
    finally:
        archive.close()
    return Rows.joined(parts), archive.snapshot
