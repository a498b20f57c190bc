"""The registry of models in PostgreSQL; each change and its audit entries, by the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import TenantId
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, as_tenant, tenant_transaction
from weir_common.problems import Conflict, NotFound

from weir_fraud.adapters.postgres_decisions import SCHEMA
from weir_fraud.adapters.postgres_faults import AWAY
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.model_stage import (
    MAY_DECIDE,
    ModelChange,
    ModelVersion,
    Move,
    MoveRefused,
    Override,
    Stage,
    Standing,
    moves_of,
    refuse_another_champion,
    rollback_of,
)
from weir_fraud.domain.promotion_gate import GateRecord
from weir_fraud.errors import ModelRegistryUnavailable
from weir_fraud.ports import MovesAudited, Serving

_COLUMNS: Final = "card::text AS card, stage, folder, files::text AS files, overrides, registered_at, registered_by, staged_at, staged_by, first_served_at"
_SERVED: Final = "stage IN ('champion', 'challenger', 'shadow')"
_card = msgspec.json.Decoder(ModelCard)
_files = msgspec.json.Decoder(dict[str, str])


class PostgresModels:
    """See `ModelRegistry`."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    async def register(
        self, card: ModelCard, folder: str, files: Mapping[str, str], by: str, at: datetime, audit: MovesAudited
    ) -> list[Move]:
        async with self._changing() as connection:
            before = await connection.fetchrow("SELECT folder FROM fraud.model WHERE version = $1", card.version)
            if before is None:
                await connection.execute(
                    "INSERT INTO fraud.model (version, features, review, decline, card, folder, files, registered_at, registered_by, "
                    "staged_at, staged_by) VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7::text::jsonb, $8, $9, $8, $9)",
                    card.version,
                    list(card.features),
                    card.thresholds.review,
                    card.thresholds.decline,
                    msgspec.json.encode(card).decode(),
                    folder,
                    msgspec.json.encode(files).decode(),
                    at,
                    by,
                )
            elif before["folder"] is None:
                await connection.execute(
                    "UPDATE fraud.model SET folder = $2, files = $3::text::jsonb WHERE version = $1",
                    card.version,
                    folder,
                    msgspec.json.encode(files).decode(),
                )
            standing = await _standing(connection, card.version)
            moves: list[Move] = []
            if not any(one.stage is Stage.CHAMPION for one in standing.values()):
                moves = moves_of(standing, card.version, Stage.CHAMPION)
            if moves or before is None or before["folder"] is None:
                await self._move(connection, moves, by, "", at, audit)
        return moves

    async def promote(
        self,
        version: str,
        to: Stage,
        by: str,
        note: str,
        at: datetime,
        audit: MovesAudited,
        gate: GateRecord | None = None,
    ) -> ModelVersion:
        async with self._changing() as connection:
            standing = await _standing(connection, version)
            if version not in standing:
                raise NotFound(f"There is no version {version}.")
            with _refused():
                refuse_another_champion(standing, gate)
                moves = moves_of(standing, version, to)
            await self._move(connection, moves, by, note, at, audit, gate)
            return await _one(connection, version)

    async def roll_back(self, by: str, note: str, at: datetime, audit: MovesAudited) -> ModelVersion:
        async with self._changing() as connection:
            previous = await _before(connection, "(SELECT version FROM fraud.model WHERE stage = 'champion')")
            further = None if previous is None else await _before(connection, "$1", previous)
            with _refused():
                moves = rollback_of(await _standing(connection, previous or ""), previous, further)
            await self._move(connection, moves, by, note, at, audit)
            return await _one(connection, moves[-1].version)

    async def version(self, version: str) -> ModelVersion | None:
        async with self._reading() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM fraud.model WHERE version = $1", version)  # noqa: S608 - constants
        return None if row is None else _version(row)

    async def previous(self) -> str | None:
        async with self._reading() as connection:
            return await _before(connection, "(SELECT version FROM fraud.model WHERE stage = 'champion')")

    async def versions(self, before: tuple[datetime, str] | None, limit: int) -> list[ModelVersion]:
        at, version = before or (datetime.max.replace(tzinfo=UTC), "")
        async with self._reading() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM fraud.model WHERE (registered_at, version) < ($1, $2) "  # noqa: S608 - constants
                "ORDER BY registered_at DESC, version DESC LIMIT $3",
                at,
                version,
                limit,
            )
        return [_version(row) for row in rows]

    async def changes(self, version: str, limit: int) -> list[ModelChange]:
        async with self._reading() as connection:
            rows = await connection.fetch(
                "SELECT version, stage_before, stage_after, previous, changed_at, changed_by, note, gate::text AS gate FROM fraud.model_change "
                "WHERE version = $1 ORDER BY id DESC LIMIT $2",
                version,
                limit,
            )
        return [
            ModelChange(
                **dict(row)
                | {name: Stage(row[name]) for name in ("stage_before", "stage_after")}
                | {"gate": None if row["gate"] is None else msgspec.json.decode(row["gate"])}
            )
            for row in rows
        ]

    async def serving(self, known: int | None) -> Serving | None:
        async with self._reading() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            revision = await connection.fetchval("SELECT revision FROM fraud.model_revision")
            if revision == known:
                return None
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM fraud.model WHERE {_SERVED} "  # noqa: S608 - constants
                "ORDER BY stage = 'champion' DESC, stage = 'challenger' DESC, version"
            )
        return Serving(revision, tuple(_version(row) for row in rows))

    async def set_override(
        self, tenant_id: TenantId, version: str, by: str, note: str, at: datetime, audit: AuditEntry
    ) -> Override:
        async with self._changing(tenant_id) as connection:
            stage = await connection.fetchval("SELECT stage FROM fraud.model WHERE version = $1", version)
            if stage is None:
                raise NotFound(f"There is no version {version}.")
            if Stage(stage) not in MAY_DECIDE:
                raise Conflict(f"{version} is {stage}: a challenger or the champion can decide for a tenant.")
            before = await connection.fetchval(
                "SELECT version FROM fraud.model_override WHERE tenant_id = $1", tenant_id
            )
            await connection.execute(
                "INSERT INTO fraud.model_override (tenant_id, version, set_at, set_by, note) VALUES ($1, $2, $3, $4, $5) "
                "ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, set_at = excluded.set_at, "
                "set_by = excluded.set_by, note = excluded.note",
                tenant_id,
                version,
                at,
                by,
                note,
            )
            await connection.execute(
                "UPDATE fraud.model SET overrides = overrides + CASE WHEN version = $1 THEN 1 ELSE -1 END, "
                "first_served_at = CASE WHEN version = $1 THEN coalesce(first_served_at, $3) ELSE first_served_at END "
                "WHERE version IN ($1, $2) AND $1 IS DISTINCT FROM $2",
                version,
                before,
                at,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        return Override(version=version, set_at=at, set_by=by, note=note)

    async def remove_override(self, tenant_id: TenantId, audit: AuditEntry) -> bool:
        async with self._changing(tenant_id) as connection:
            before = await connection.fetchval(
                "DELETE FROM fraud.model_override WHERE tenant_id = $1 RETURNING version", tenant_id
            )
            if before is None:
                return False
            await connection.execute("UPDATE fraud.model SET overrides = overrides - 1 WHERE version = $1", before)
            await add_to_outbox(connection, SCHEMA, [audit_record(audit)])
        return True

    async def override(self, tenant_id: TenantId) -> Override | None:
        with _away():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                row = await connection.fetchrow(
                    "SELECT version, set_at, set_by, note FROM fraud.model_override WHERE tenant_id = $1", tenant_id
                )
        return None if row is None else Override(**dict(row))

    async def overrides(self, tenants: Collection[TenantId]) -> Mapping[TenantId, str]:
        async with self._reading() as connection:
            rows = await connection.fetch("SELECT tenant_id, version FROM fraud.model_overrides($1)", list(tenants))
        return {TenantId(row["tenant_id"]): row["version"] for row in rows}

    async def _move(
        self,
        connection: Connection,
        moves: Sequence[Move],
        by: str,
        note: str,
        at: datetime,
        audit: MovesAudited,
        gate: GateRecord | None = None,
    ) -> None:
        """The gate is that of the last move."""
        # Whoever gives way first: there is never a second champion.
        for move in moves:
            await connection.execute(
                "UPDATE fraud.model SET stage = $2, staged_at = $3, staged_by = $4, "
                "first_served_at = CASE WHEN $2 = 'champion' THEN coalesce(first_served_at, $3) ELSE first_served_at END "
                "WHERE version = $1",
                move.version,
                move.after.value,
                at,
                by,
            )
            await connection.execute(
                "INSERT INTO fraud.model_change (version, stage_before, stage_after, previous, changed_at, changed_by, note, gate) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)",
                move.version,
                move.before.value,
                move.after.value,
                move.previous,
                at,
                by,
                note,
                None if gate is None or move is not moves[-1] else msgspec.json.encode(gate).decode(),
            )
        await add_to_outbox(connection, SCHEMA, [audit_record(entry) for entry in audit(moves)])

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        with _away():
            async with self._pool.acquire(timeout=5) as connection:
                yield connection

    @asynccontextmanager
    async def _changing(self, tenant_id: TenantId | None = None) -> AsyncIterator[Connection]:
        """One change at a time: the row of the revision is its lock."""
        with _away():
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                await connection.execute("UPDATE fraud.model_revision SET revision = revision + 1")
                if tenant_id is not None:
                    await as_tenant(connection, tenant_id)
                yield connection
        self._wake_outbox()


async def _standing(connection: Connection, version: str) -> dict[str, Standing]:
    rows = await connection.fetch(
        f"SELECT version, stage, folder IS NOT NULL AS has_files, overrides FROM fraud.model WHERE version = $1 OR {_SERVED}",  # noqa: S608 - constants
        version,
    )
    return {row["version"]: Standing(Stage(row["stage"]), row["has_files"], row["overrides"]) for row in rows}


async def _before(connection: Connection, champion: str, *values: Any) -> str | None:
    before: str | None = await connection.fetchval(
        f"SELECT previous FROM fraud.model_change WHERE version = {champion} AND stage_after = 'champion' "  # noqa: S608 - constants
        "ORDER BY id DESC LIMIT 1",
        *values,
    )
    return before


async def _one(connection: Connection, version: str) -> ModelVersion:
    (row,) = await connection.fetch(f"SELECT {_COLUMNS} FROM fraud.model WHERE version = $1", version)  # noqa: S608 - constants
    return _version(row)


def _version(row: asyncpg.Record) -> ModelVersion:
    return ModelVersion(
        **dict(row)
        | {"card": _card.decode(row["card"]), "files": _files.decode(row["files"]), "stage": Stage(row["stage"])}
    )


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except MoveRefused as error:
        raise Conflict(str(error)) from error


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise ModelRegistryUnavailable(f"PostgreSQL did not answer: {error!r}") from error
