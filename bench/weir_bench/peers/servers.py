"""A broker and a database of the bench's own, in a state directory of its own: a mesh that runs beside it is not disturbed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg
from weir_common.kafka.topics import PROGRESS, TopicSpec, ensure_topics
from weir_common.migrations import migrate
from weir_common.settings import KafkaSettings
from weir_local.environment import DATABASE
from weir_local.mesh import Mesh, default_cache_directory, program

from weir_bench.peers.programs.with_weir import SCHEMA

TOPIC: Final = TopicSpec("weir.bench.peers.v1", 12, configs={"retention.ms": "-1"})
"""Kept for ever: the events are of a day long past."""
UP_SECONDS: Final = 600
DOWN_SECONDS: Final = 120
STATEMENT_SECONDS: Final = 30


@contextmanager
def servers(state: Path, *, keep: bool, only: str = "postgres,kafka") -> Iterator[Mesh]:
    """Kafka and PostgreSQL, or what is named, started fresh; ended and deleted at the end, also after Ctrl-C."""
    mesh = Mesh.at(state, default_cache_directory(os.environ))
    _weir(mesh, DOWN_SECONDS, "down", "--purge")
    shutil.rmtree(state, ignore_errors=True)
    try:
        _weir(mesh, UP_SECONDS, "up", "--only", only)
        yield mesh
    finally:
        if not keep:
            _weir(mesh, DOWN_SECONDS, "down", "--purge")
            shutil.rmtree(state, ignore_errors=True)


def bootstrap(mesh: Mesh) -> str:
    return f"127.0.0.1:{mesh.port('kafka')}"


def dsn(mesh: Mesh, role: str) -> str:
    return f"postgresql://{role}:{mesh.secret(f'postgres-{role}')}@127.0.0.1:{mesh.port('postgres')}/{DATABASE}"


def application_dsn(mesh: Mesh) -> str:
    """Of the role that row level security binds."""
    return dsn(mesh, f"weir_{SCHEMA}")


async def prepare(mesh: Mesh) -> None:
    """The topics and the tables."""
    await ensure_topics(KafkaSettings(bootstrap_servers=bootstrap(mesh)), (TOPIC, TopicSpec(PROGRESS, 1)))
    await migrate(dsn(mesh, f"weir_{SCHEMA}_owner"), SCHEMA, "weir_bench.peers")


def stored_bytes(mesh: Mesh) -> int:
    """What the topic takes on disk, compressed as our publisher compresses."""
    return sum(file.stat().st_size for file in (mesh.state / "kafka" / "data").glob(f"{TOPIC.name}-*/*.log"))


async def empty_tables(mesh: Mesh) -> None:
    """Before every run of ours: the sums of the run before, and its window of duplicates."""
    connection = await asyncpg.connect(
        dsn(mesh, f"weir_{SCHEMA}_owner"), timeout=STATEMENT_SECONDS, command_timeout=STATEMENT_SECONDS
    )
    try:
        await connection.execute(f"TRUNCATE {SCHEMA}.minute_sum, {SCHEMA}.applied_window, {SCHEMA}.consumer_offset")
    finally:
        await connection.close(timeout=5)


def _weir(mesh: Mesh, seconds: float, *arguments: str) -> None:
    command = program("weir")
    assert command is not None, "make setup installs weir"
    # In a session of its own: Ctrl-C is for the bench, which then ends the servers in order.
    subprocess.run(
        (str(command), *arguments),
        env=os.environ | {"WEIR_STATE_DIR": str(mesh.state)},
        check=True,
        timeout=seconds,
        start_new_session=True,
    )
