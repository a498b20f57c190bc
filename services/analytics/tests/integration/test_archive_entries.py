"""The position of the archive's entries: moved with the entries, from where it stands, by one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from weir_analytics.adapters.postgres_archive_entries import PostgresArchiveEntries
from weir_common.errors import RetryError
from weir_common.ledger import counts_record

pytestmark = pytest.mark.integration


@pytest.fixture
async def entries(pool: asyncpg.Pool) -> AsyncIterator[PostgresArchiveEntries]:
    table = f"test_{uuid.uuid4().hex[:12]}"
    yield PostgresArchiveEntries(pool, "analytics", table)
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM analytics.archive_entered WHERE lake_table = $1", table)


async def test_a_position_moves_only_from_where_it_stands(entries: PostgresArchiveEntries) -> None:
    assert await entries.entered([0, 1]) == {0: 0, 1: 0}
    assert not await entries.enter({0: (3, 5)}, []), "nothing was ever entered: it stands at 0"
    assert await entries.enter({0: (0, 5)}, [])
    assert not await entries.enter({0: (0, 5)}, [])
    assert not await entries.enter({0: (5, 9), 1: (2, 3)}, []), "all of it or nothing"
    assert await entries.entered([0, 1]) == {0: 5, 1: 0}
    assert await entries.enter({0: (5, 9), 1: (0, 3)}, [])
    assert await entries.entered([1, 0]) == {0: 9, 1: 3}


async def test_of_many_at_once_one_moves_it(entries: PostgresArchiveEntries) -> None:
    for first in (0, 7):
        moved = await asyncio.gather(
            *(entries.enter({0: (first, first + 7), 1: (first, first + 7)}, []) for _ in range(8))
        )
        assert moved.count(True) == 1


async def test_an_entry_that_cannot_be_written_moves_nothing(
    entries: PostgresArchiveEntries, pool: asyncpg.Pool
) -> None:
    record = counts_record("test.lake", {("t", "2026-11-25T10:30"): (1, 0, 0)})
    assert record is not None
    nowhere = PostgresArchiveEntries(pool, "no_such_schema", entries._table)
    with pytest.raises(RetryError):
        await nowhere.enter({0: (0, 5)}, [record])
    assert await entries.entered([0]) == {0: 0}
