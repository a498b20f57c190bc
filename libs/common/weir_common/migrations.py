"""Schema migrations: numbered SQL files, each run once, in order, by the owner role, under a lock.

A file that was applied must not change afterwards; a different hash stops the start with both names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import asyncpg
import structlog

from weir_common.errors import RetryError, StopError

log = structlog.get_logger(__name__)

_LOCK = 0x57454952  # "WEIR": one lock for all schemas, since they start together on one database


@dataclass(frozen=True)
class Migration:
    """One file: ``<package>/<folder>/NNNN_name.sql``."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(package: str, folder: str = "migrations") -> Iterator[Migration]:
    """The files of a package, in order of their names."""
    root = resources.files(package) / folder
    for file in sorted(root.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            yield Migration(f"{package}/{file.name}", file.read_text("utf-8"))


async def migrate(
    owner_dsn: str, schema: str, package: str, *, consumes: bool = True, timeout: float = 60.0
) -> list[str]:
    """Bring ``schema`` up to date; gives the names of the files that were run now.

    ``consumes``: whether a service keeps the offsets of its consumers there, too.
    ``RetryError`` if the database does not answer, ``StopError`` if an applied file was changed.
    """
    consumer = migrations_of("weir_common", "consumer_migrations") if consumes else ()
    wanted = [*consumer, *migrations_of(package)]
    try:
        connection = await asyncpg.connect(owner_dsn, timeout=10, command_timeout=timeout)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
        raise RetryError(f"PostgreSQL does not answer for the migrations of {schema}: {error!r}") from error
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(f'SET LOCAL search_path TO "{schema}"')
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migration ("
                "name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            await connection.execute("COMMENT ON TABLE schema_migration IS 'no tenant data: which migrations ran'")
            rows = await connection.fetch("SELECT name, sha256 FROM schema_migration")
            applied = {row["name"]: row["sha256"] for row in rows}
            done: list[str] = []
            for migration in wanted:
                known = applied.get(migration.name)
                if known is not None:
                    if known != migration.sha256:
                        raise StopError(
                            f"{migration.name} was applied to schema {schema} and has been changed since; "
                            "restore the file and write a new one (development data: weir down --purge)"
                        )
                    continue
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)", migration.name, migration.sha256
                )
                done.append(migration.name)
    finally:
        await connection.close(timeout=5)
    if done:
        log.info("schema migrated", schema=schema, migrations=done)
    return done
