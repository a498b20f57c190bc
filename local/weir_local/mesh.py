"""One native mesh on this machine: its folders, ports and secrets."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weir_local.ports import Ports

SecretMaker = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Mesh:
    """Where a mesh lives. Building one reads and writes nothing."""

    state: Path
    """`.weir/` of the checkout, absolute (WEIR_STATE_DIR)."""
    cache: Path
    """Downloads and builds shared by every checkout (WEIR_CACHE_DIR)."""
    kubernetes: bool = False
    """Whether the Kubernetes control plane belongs to this mesh."""
    links: bool = False
    """Whether the services reach PostgreSQL, Valkey and Kafka through proxies that can slow and cut the way."""
    ports: Ports = field(kw_only=True)

    @classmethod
    def at(cls, state: Path, cache: Path, *, kubernetes: bool = False, links: bool = False) -> Mesh:
        state = state.absolute()
        return cls(state, cache.absolute(), kubernetes, links, ports=Ports(state / "ports.json", seed=str(state)))

    def port(self, name: str) -> int:
        """The port remembered under this name, chosen now if it is new."""
        return self.ports.get(name)

    def folder(self, *parts: str, mode: int = 0o755) -> Path:
        """A folder under the state directory, made if it is not there."""
        path = self.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        return path

    def log(self, component: str) -> Path:
        return self.state / "logs" / f"{component}.log"

    def secrets_folder(self) -> Path:
        return self.folder("secrets", mode=0o700)

    def secret(self, name: str) -> str:
        """A random password of 160 bits, made at its first use and kept in `secrets/<name>` (mode 600)."""
        return self.secret_file(name, lambda: secrets.token_hex(20).encode()).read_text().strip()

    def secret_file(self, name: str, make: SecretMaker) -> Path:
        """`secrets/<name>`, filled by `make()` if it is not there. Two processes that race agree on the first one."""
        path = self.secrets_folder() / name
        if path.exists():
            return path
        content = make()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        try:
            os.link(draft, path)  # fails if another process was first; then its secret is the one
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path


def python() -> str:
    """This environment's interpreter under one name, however `weir` was invoked: a component's command must not
    depend on that, or the next `weir up` would see changed settings and restart it.
    """
    return str(Path(sys.prefix) / "bin" / "python")


def program(name: str) -> Path | None:
    """A program that a package put beside the interpreter; None if it is not installed."""
    path = Path(sys.prefix) / "bin" / name
    return path if path.is_file() else None


def default_state_directory(environment: Mapping[str, str], start: Path) -> Path:
    """WEIR_STATE_DIR, else `.weir` of the checkout that `start` is in, else of the checkout that this code is in,
    else `start/.weir`.
    """
    named = environment.get("WEIR_STATE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    checkout = _checkout(start) or _checkout(Path(__file__)) or start
    return checkout / ".weir"


def _checkout(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        project = folder / "pyproject.toml"
        if project.is_file() and "[tool.uv.workspace]" in project.read_text():
            return folder
    return None


def default_cache_directory(environment: Mapping[str, str]) -> Path:
    named = environment.get("WEIR_CACHE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir"
