"""What a person sees while the mesh starts, and afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from weir_local.status import TROUBLE, State, Status

MARKS: dict[State, str] = {
    "running": "[green]●[/]",
    "failed": "[red]✗[/]",
    "dead": "[red]✗[/]",
    "not serving": "[red]✗[/]",
    "left out": "[dim]–[/]",
    "stopped": "[dim]○[/]",
}
NAME_WIDTH = 24
QUIET_SECONDS = 10.0
"""In a log (no terminal) a long step repeats its words only this often."""


class Progress:
    """A finished line per component as it begins to serve; on a terminal, also live lines of those under way."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._began = time.monotonic()
        self._active: dict[str, tuple[float, str]] = {}
        self._said: dict[str, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=True)

    def __enter__(self) -> Progress:
        if not self._quiet and self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, status: Status) -> None:
        """The launcher tells that a component's state changed."""
        if self._quiet:
            return
        now = time.monotonic()
        name = f"{status.name:<{NAME_WIDTH}}"
        match status.state:
            case "preparing" | "starting":
                since, _ = self._active.get(status.name, (now, ""))
                self._active[status.name] = (since, status.detail or status.state)
                # A terminal has the live lines; what scrolls by in a log is only what takes long.
                if (
                    status.detail
                    and not self._console.is_terminal
                    and now - self._said.get(status.name, -QUIET_SECONDS) >= QUIET_SECONDS
                ):
                    self._said[status.name] = now
                    self._print(f"[dim]…[/] {name} [dim]{escape(status.detail)}[/]")
            case "running":
                took = "" if status.seconds is None else f"{status.seconds:5.1f} s"
                self._print(f"{MARKS['running']} {name} {took}  {status.url or ''}")
                self._active.pop(status.name, None)
            case "failed" | "left out":
                self._print(f"{MARKS[status.state]} {name} {escape(status.detail)}")
                self._active.pop(status.name, None)
            case _:
                pass

    def _print(self, words: str) -> None:
        self._console.print(f"{time.monotonic() - self._began:6.1f} s  {words}", soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        now = time.monotonic()
        for name, (since, words) in self._active.items():
            table.add_row(
                f"{now - since:6.1f} s ", Spinner("dots"), f"{name:<{NAME_WIDTH}}", f"[dim]{escape(words)}[/]"
            )
        return table


def status_table(statuses: Sequence[Status]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "component", "state", "pid", "up for", "url"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "url")
    for one in statuses:
        up_for = _duration(one.seconds) if one.pid is not None and one.seconds is not None else ""
        table.add_row(MARKS.get(one.state, " "), one.name, one.state, str(one.pid or ""), up_for, one.url or "")
    return table


def explain(console: Console, status: Status) -> None:
    """Why a component is in trouble: its reason, its last words, where its log is and what to do."""
    if status.state not in TROUBLE:
        return
    code = "" if status.exit_code is None else f" (exit code {status.exit_code}{_signal_name(status.exit_code)})"
    console.print(f"\n[red]{status.name}[/]: {escape(status.detail or status.state)}{code}", soft_wrap=True)
    for line in status.last_lines or ():
        console.print("    " + line, markup=False, soft_wrap=True)
    if status.log:
        console.print(f"  log: {status.log}", markup=False, soft_wrap=True)
    if status.advice:
        console.print(f"  what to do: {status.advice}", markup=False, soft_wrap=True)


def _signal_name(code: int) -> str:
    names = {130: "interrupted", 134: "aborted", 137: "killed", 139: "crashed", 143: "terminated"}
    return f", {names[code]}" if code in names else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
