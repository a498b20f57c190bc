"""The same tests for the backtests in memory and in PostgreSQL."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from weir_common.problems import NotFound
from weir_fraud.adapters.memory_models import MemoryBacktests, MemoryModels
from weir_fraud.adapters.postgres_backtests import PostgresBacktests
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.domain.promotion_gate import Backtest, Estimate, Figures
from weir_fraud.ports import Backtests, ModelRegistry

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
AT = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
def both(request: pytest.FixtureRequest) -> Any:
    """Each implementation of `Backtests`, with its registry."""
    if request.param == "memory":
        registry = MemoryModels()
        return MemoryBacktests(registry), registry
    pool = request.getfixturevalue("pool")
    return PostgresBacktests(pool, lambda: None), PostgresModels(pool, lambda: None)


def figures(version: str) -> Figures:
    one = Estimate(0.1 + 0.2, 0.1, 0.9)
    return Figures(
        version=version, auc=one, average_precision=one, card_precision_100=one, review_rate=1e-9, decline_rate=0.0
    )


def backtest(version: str, champion: str) -> Backtest:
    return Backtest(
        data_from=LONG_AGO,
        data_until=AT,
        payments=2**53,
        frauds=3,
        data_sha256="ab" * 32,
        candidate=figures(version),
        champion=figures(champion),
    )


async def registered(registry: ModelRegistry, toys: Any) -> str:
    version = f"contract-{uuid.uuid4().hex[:10]}"
    await registry.register(toys.card(version), version, toys.hashes(version), "op", LONG_AGO, toys.audited)
    return version


async def test_they_are_kept_in_order_and_the_newest_against_a_champion_is_found(
    both: tuple[Backtests, ModelRegistry], toys: Any
) -> None:
    store, registry = both
    version, champion, other = [await registered(registry, toys) for _ in range(3)]
    assert await store.newest(version, champion) is None
    stored = [
        await store.add(version, backtest(version, against), "op", AT, toys.entry("x"))
        for against in (champion, champion, other)
    ]
    assert stored[0].backtest == backtest(version, champion)
    assert await store.newest(version, champion) == stored[1]
    assert await store.newest(version, other) == stored[2]
    assert await store.newest(other, champion) is None
    assert await store.page(version, None, 2) == stored[:0:-1]
    assert await store.page(version, stored[1].number, 2) == stored[:1]
    assert await store.page(other, None, 2) == []
    with pytest.raises(NotFound):
        await store.add("nobody", backtest("nobody", champion), "op", AT, toys.entry("x"))


@pytest.mark.integration
async def test_evidence_is_never_changed(pool: asyncpg.Pool, toys: Any) -> None:
    version = await registered(PostgresModels(pool, lambda: None), toys)
    await PostgresBacktests(pool, lambda: None).add(version, backtest(version, version), "op", AT, toys.entry("x"))
    async with pool.acquire(timeout=5) as connection:
        for statement in ("UPDATE fraud.model_backtest SET document = '{}'", "DELETE FROM fraud.model_backtest"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
