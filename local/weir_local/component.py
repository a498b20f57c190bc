"""What the launcher knows about one process of the native mesh.

A component is a value without state: everything that it needs (ports, secrets, folders) it asks of the `Mesh`, so that
`weir up`, `status`, `restart` and the tests can each build the same component again.

The launcher calls, in this order: `prepare` → `launch` (it starts the process) → `ready` (again and again until it returns)
→ `settle`. Components whose `depends_on` have settled start in parallel.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weir_local.mesh import Mesh

Report = Callable[[str], None]
"""Shows a few words beside the component's progress line while a long step runs ("building kube-apiserver, 6 min the first time")."""


class NotReady(Exception):
    """The component was asked and does not serve yet. The text says what was asked and what came back."""


class CannotStart(Exception):
    """The component cannot be started on this machine as it stands.

    `advice` is one sentence that tells a newcomer what to do; it is printed under the error.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


class Precedence(IntEnum):
    """Who gets the processor when it is short (ADR 17), as a niceness: ten steps are a ninth of the weight."""

    SHOPPER = 0
    """What a shopper waits for, on the page: the gateway, the credential check, fraud, and the stores that they ask."""
    MACHINE = 10
    """What a shop's machine waits for: ingest and the log."""
    NOBODY = 19
    """What nobody waits for."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the process.

    `environment` is added to a small inherited one (PATH, HOME, LANG, TMPDIR, …); nothing else is inherited, so that
    a component behaves the same in every shell. The launcher adds its own markers (WEIR_STATE_DIR, WEIR_COMPONENT).
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    precedence: Precedence = Precedence.SHOPPER


class Component(ABC):
    """One child process. Subclasses override what differs; `launch` and `ready` are always theirs."""

    name: str
    depends_on: tuple[str, ...] = ()
    """Names of components that must have settled first. Those that are not part of this start are ignored."""
    ports: tuple[str, ...] = ()
    """Names of the ports to choose and remember (`mesh.port("kafka")`); unique over all components."""
    start_seconds: float = 60.0
    """Deadline from the start of the process until `ready` returns."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    """After this many seconds `stop_signal` is followed by SIGKILL to the whole process group."""
    advice: str = ""
    """What to do when it does not start; printed under its last log lines."""

    def missing(self, mesh: Mesh) -> str | None:
        """Why this component is left out of a start that did not name it (None: it is not left out)."""
        return None

    async def prepare(self, mesh: Mesh, report: Report) -> None:  # noqa: B027
        """Everything before the process: downloads, data directories, configuration files. Must be idempotent."""

    @abstractmethod
    def launch(self, mesh: Mesh) -> Launch:
        """The command. Pure: the launcher compares it with that of the running process to see whether settings changed."""

    @abstractmethod
    async def ready(self, mesh: Mesh) -> None:
        """Ask the component for real, once. Return if it serves; raise (NotReady or any error) if not yet.

        The launcher puts its own deadline of five seconds around each call.
        """

    async def settle(self, mesh: Mesh) -> None:  # noqa: B027
        """Idempotent work once it serves: roles, namespaces, API objects. Dependants wait for it."""

    def url(self, mesh: Mesh) -> str | None:
        """The address that a person would look at, printed on the progress line."""
        return None
