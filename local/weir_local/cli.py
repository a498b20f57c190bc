"""The ``weir`` command."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from weir_local.addresses import environment_of
from weir_local.commands import add_commands
from weir_local.doctor import examine
from weir_local.environment import SERVICES
from weir_local.launcher import Launcher, UnknownComponent
from weir_local.lock import Busy, exclusive
from weir_local.logfiles import follow, tail
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory
from weir_local.progress import Progress, explain, status_table
from weir_local.purge import purge
from weir_local.registry import components, control_plane_exists
from weir_local.status import TROUBLE, Status, read_mesh_file

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


def this_mesh(*, kubernetes: bool | None = None, links: bool | None = None) -> Mesh:
    """The mesh of the current folder. Whether it has a control plane or proxied links is remembered from its last start."""
    state = default_state_directory(os.environ, Path.cwd())
    before = read_mesh_file(state)
    if kubernetes is None:
        kubernetes = bool(before.get("kubernetes", False))
    if links is None:
        links = bool(before.get("links", False))
    return Mesh.at(state, default_cache_directory(os.environ), kubernetes=kubernetes, links=links)


@app.command()
def up(
    only: Annotated[str | None, typer.Option(help="Only these, separated by commas: postgres,valkey,kafka,…")] = None,
    kubernetes: Annotated[
        bool | None,
        typer.Option("--kubernetes/--no-kubernetes", help="Also etcd, kube-apiserver and controller-manager."),
    ] = None,
    links: Annotated[
        bool | None,
        typer.Option("--links/--no-links", help="Services reach their stores through proxies that can cut the way."),
    ] = None,
    json_: Json = False,
) -> None:
    """Start what is missing and wait until everything serves.

    Examples:  weir up · weir up --kubernetes · weir up --only postgres,kafka
    """
    mesh = this_mesh(kubernetes=kubernetes, links=links)
    names = _names(only)
    _start(mesh, json_, lambda launcher: launcher.up(names))


@app.command()
def down(
    only: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    purge_: Annotated[bool, typer.Option("--purge", help="Also delete all data, secrets and chosen ports.")] = False,
    json_: Json = False,
) -> None:
    """End the processes; the data stay unless --purge is given."""
    if only is not None and purge_:
        _fail("--purge deletes the data of the whole mesh", "Use it without --only.")
    names = _names(only)
    here = this_mesh()
    # A control plane that was started once is stopped too, even if the last start was without it.
    mesh = Mesh.at(here.state, here.cache, kubernetes=control_plane_exists(), links=here.links)
    stopped: list[str] = []
    if mesh.state.is_dir():
        with _locked(mesh):
            try:
                stopped = asyncio.run(Launcher(mesh, components(mesh)).down(names))
            except UnknownComponent as error:
                _fail(str(error), "`weir status` lists them.")
            if purge_:
                purge(mesh.state)
    if json_:
        print(json.dumps({"stopped": stopped, "purged": purge_}))
    else:
        words = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
        console.print(words + ("; all data deleted" if purge_ else ""), soft_wrap=True)


@app.command()
def status(json_: Json = False) -> None:
    """Ask every component now. Exit code 1 if any that was started does not serve."""
    mesh = this_mesh()
    statuses = asyncio.run(Launcher(mesh, components(mesh)).status())
    if json_:
        print(json.dumps([asdict(one) for one in statuses], indent=2))
    else:
        console.print(status_table(statuses))
        for one in statuses:
            explain(errors, one)
    if any(one.state in TROUBLE for one in statuses):
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
    width = max(map(len, names))
    files = {name: mesh.log(name) for name in names if component in (None, name)}

    def show(name: str, line: str) -> None:
        if json_:
            print(json.dumps({"component": name, "line": line}), flush=True)
        elif component is None:
            console.print(f"[cyan]{name:>{width}}[/]  {escape(line)}", soft_wrap=True)
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
    _start(this_mesh(), json_, lambda launcher: launcher.restart(component))


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
    """Check this machine and this mesh, and say what to do about what is wrong. Exit code 1 if anything is."""
    mesh = this_mesh()
    findings = list(examine(mesh, components(mesh)))
    if json_:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.good else "[red]✗[/]"
            console.print(f"{mark} {finding.check}: {escape(finding.detail)}", soft_wrap=True)
            if finding.advice:
                console.print(f"    {finding.advice}", markup=False, soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _start(mesh: Mesh, json_: bool, work: Callable[[Launcher], Coroutine[Any, Any, list[Status]]]) -> None:
    began = time.monotonic()
    with _locked(mesh):
        with Progress(console, quiet=json_) as progress:
            try:
                statuses = asyncio.run(work(Launcher(mesh, components(mesh), progress)))
            except UnknownComponent as error:
                _fail(str(error), "`weir status` lists them.")
            except KeyboardInterrupt:
                _fail(
                    "interrupted", "What was started goes on: `weir status` shows it, `weir up` starts the rest.", 130
                )
        seconds = time.monotonic() - began
    failed = [one for one in statuses if one.state in TROUBLE]
    serving = [one for one in statuses if one.state == "running"]
    left_out = [one.name for one in statuses if one.state == "left out"]
    if json_:
        print(json.dumps({"seconds": round(seconds, 3), "components": [asdict(one) for one in statuses]}, indent=2))
    elif not failed:
        rest = f" (left out: {', '.join(left_out)})" if left_out else ""
        console.print(f"[green]{len(serving)} components serve[/] after {seconds:.1f} s{rest}")
    for one in failed:
        explain(errors, one)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _locked(mesh: Mesh) -> Iterator[None]:
    def waiting(holder: str) -> None:
        errors.print(
            f"[dim]another weir command is at work in {mesh.state} ({holder}); waiting for it[/]", soft_wrap=True
        )

    try:
        with exclusive(mesh.state, waiting):
            yield
    except Busy as error:
        _fail(str(error), "Look at that process; the lock ends with it.")


def _fail(reason: str, advice: str, code: int = 2) -> NoReturn:
    errors.print(f"[red]weir:[/] {escape(reason)}", soft_wrap=True)
    errors.print(f"  {advice}", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _names(only: str | None) -> list[str] | None:
    if only is None:
        return None
    names = [name.strip() for name in only.split(",") if name.strip()]
    if not names:
        _fail("--only names no component", "For example: --only postgres,kafka")
    return names


def main() -> None:
    """The entry point: our commands, then those that the services bring."""
    # Readiness is asked before a server listens: a refused connection is an expected answer, not news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    add_commands(app, sys.argv[1:])
    app()


if __name__ == "__main__":
    main()
