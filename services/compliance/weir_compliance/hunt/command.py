"""`weir hunt`: look for planted values in every store. Loaded by the `weir` command."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import PlantedFaultError, read_planted
from weir_compliance.hunt.ports import Store
from weir_compliance.hunt.prove import EVIDENCE, BlindError, expect_sighted
from weir_compliance.hunt.report import UNREAD, document, exit_code, show, show_kinds
from weir_compliance.hunt.search import StoreReport, Watch, hunt

if TYPE_CHECKING:
    from weir_local.mesh import Mesh

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def hunt_command(
    values: Annotated[
        Path | None,
        typer.Argument(help="File of planted values: JSON lines with label and value, or one value a line."),
    ] = None,
    store: Annotated[
        list[str] | None, typer.Option("--store", help="Only this store (repeatable); the others count as not asked.")
    ] = None,
    prove: Annotated[
        bool,
        typer.Option("--prove", help="First plant an open value and demand that it is found: a hunter may be blind."),
    ] = False,
    by_kind: Annotated[bool, typer.Option("--by-kind", help="Also which kind of value is in which store.")] = False,
    hashed: Annotated[
        bool, typer.Option("--hashed", help="Also look for unkeyed digests (MD5, SHA, BLAKE2b) of each value.")
    ] = False,
    store_seconds: Annotated[float, typer.Option(min=1, help="The most that one store may take.")] = 900,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Look for planted values in every store, decoded: does the mesh keep personal data in clear?

    Whether something was never written down can be proven only by looking everywhere, so plant values that exist nowhere
    else, let them pass through the front door, and hunt:

      python -m weir_compliance.hunt.plant planted.jsonl     plants 1,000 values of every kind in a tenant of its own

      weir hunt planted.jsonl --by-kind                      where each of them is now

    Looked through: Kafka (records of every topic; batches of every segment file), the lake (Parquet, Avro bounds,
    metadata, unreferenced files), PostgreSQL (every row as text with pg_statistic; heap and index files; the write-ahead
    log with its compressed pages opened), Valkey (every key; its files), Temporal (its store; histories with payloads
    opened), traces, logs, exports and every other file. gzip and zstd are opened. Each value is looked for as it is, in
    lower and upper case, escaped for JSON, HTML and URLs, in base64, hex and UTF-16, numbers and UUIDs also as bytes.

    A value is never printed, only its label. Exit code 0: every store was read, nothing found. 1: found. 2: nothing
    found, but a store could not be read, which is not the same as clean.

    Examples:  weir hunt --prove · weir hunt planted.jsonl --json · weir hunt planted.jsonl --store kafka --store lake
    """
    if values is None and not prove:
        _fail("nothing to look for: name a file of planted values, or use --prove (`weir hunt --help`)")
    try:
        planted = [] if values is None else read_planted(values)
    except PlantedFaultError as error:
        _fail(str(error))
    # Only here: the service itself knows nothing of the native mesh.
    from weir_local.cli import this_mesh

    from weir_compliance.hunt.native import native_stores

    mesh = this_mesh()
    if not mesh.state.is_dir():
        _fail(f"there is no mesh in {mesh.state}: start one with `weir up`")
    stores = _chosen(native_stores(mesh), store)
    if prove:
        _prove(mesh, stores, quiet=json_, store_seconds=store_seconds)
        if not planted:
            if json_:
                sys.stdout.write(json.dumps({"proven": True, "stores": [one.name for one in stores]}) + "\n")
            raise typer.Exit(0)
    matcher = Matcher(planted, hashed=hashed)
    with _Watching(quiet=json_) as watch:
        reports = asyncio.run(hunt(stores, matcher, store_seconds=store_seconds, watch=watch))
    if json_:
        sys.stdout.write(json.dumps(document(planted, reports) | {"proven": prove}) + "\n")
    else:
        show(console, planted, reports)
        if by_kind:
            show_kinds(console, planted, reports)
    raise typer.Exit(exit_code(reports))


def _prove(mesh: "Mesh", stores: Sequence[Store], *, quiet: bool, store_seconds: float) -> None:
    """Plant, look, and end the command if the hunter did not see what is there."""
    from weir_compliance.hunt.native import plant_canary

    names = {store.name for store in stores}
    try:
        if not quiet:
            errors.print("planting open values, and waiting until they have arrived everywhere …")
        canaries = asyncio.run(plant_canary(mesh))
        with _Watching(quiet=quiet) as watch:
            reports = asyncio.run(hunt(stores, Matcher(canaries), store_seconds=store_seconds, watch=watch))
        sighted = expect_sighted(reports, names)
    except (BlindError, httpx.HTTPError, TimeoutError, RuntimeError) as error:
        _fail(f"the hunter is not proven to see: {type(error).__name__}: {error}")
    if not quiet:
        for name, where in sighted.items():
            errors.print(f"[green]✓[/] {escape(name)}: seen in {escape(where)}", soft_wrap=True)
        unproven = names - {store for store, _, _ in EVIDENCE}
        for name in sorted(unproven):
            errors.print(f"[dim]· {name}: nothing can be planted there; it is read, but that is not proven[/]")


def _chosen(stores: Sequence[Store], names: Sequence[str] | None) -> Sequence[Store]:
    if not names:
        return stores
    unknown = set(names) - {store.name for store in stores}
    if unknown:
        _fail(f"there is no store {', '.join(sorted(unknown))}; there are: {', '.join(one.name for one in stores)}")
    return [store for store in stores if store.name in names]


class _Watching:
    """A line on stderr for each store while it is looked through."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
            disable=quiet,
        )

    def __enter__(self) -> Watch:
        self._progress.start()
        tasks = {}

        def watch(report: StoreReport) -> None:
            if report.store not in tasks:
                tasks[report.store] = self._progress.add_task(report.store, total=None, done="")
            done = f"{report.bytes / 1e6:,.0f} MB, {len(report.labels):,} values found"
            self._progress.update(tasks[report.store], done=done)

        return watch

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()


def _fail(reason: str) -> NoReturn:
    errors.print(f"[red]weir hunt:[/] {escape(reason)}", soft_wrap=True)
    raise typer.Exit(UNREAD)
