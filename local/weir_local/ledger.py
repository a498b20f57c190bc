"""`weir ledger`: whether the books balance, tenant by tenant, and where they do not."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from weir_local import certificates
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

# Exit codes: 1 the books do not balance, 2 they could not be read.
_WRONG, _UNKNOWN = 1, 2
_AT_ONCE = 8
_MEANINGS = {
    "door": "came in and have no fate",
    "behind": "are on their way",
    "missing": "were not done: late by minutes, or lost",
    "unanswered": "are on the log, but their sender got no answer (it repeats them)",
    "repeated": "are on the log since an earlier minute, and were sent again for want of an answer",
    "surplus": "took effect twice",
}

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def ledger(
    tenant: Annotated[str | None, typer.Option(help="Whose books; without it everybody's.")] = None,
    timeframe: Annotated[str, typer.Option(help="How far back: a number and m, h or d, from 5m to 30d.")] = "1h",
    url: Annotated[
        str | None, typer.Option(help="Another deployment's gateway (default: the mesh of this checkout).")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key (default: $WEIR_API_KEY, or this mesh's operator's).")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Certificate authority of the deployment, for its own CA.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Whether received = accepted + duplicate + invalid + …, and accepted = what each consumer did; if not, where.

    Exit code 0: balanced. 1: not. 2: the books could not be read.

    Examples:  weir ledger · weir ledger --tenant my-shop --timeframe 24h · weir ledger --json
    """
    try:
        books = asyncio.run(_read(tenant, timeframe, url, api_key_file, ca))
    except (httpx.HTTPError, OSError, ValueError) as error:
        errors.print(f"[red]the books could not be read:[/] {str(error) or repr(error)}", soft_wrap=True)
        errors.print("Is the mesh up? `weir status` says.", markup=False)
        raise typer.Exit(_UNKNOWN) from error
    if json_:
        sys.stdout.write(json.dumps(books) + "\n")
    else:
        _show(books, timeframe)
    raise typer.Exit(0 if all(book["balanced"] for book in books) else _WRONG)


async def _read(
    tenant: str | None, timeframe: str, url: str | None, api_key_file: Path | None, ca: Path | None
) -> list[dict[str, Any]]:
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    base = url or f"https://localhost:{mesh.port('gateway-https')}"
    authority = ca or (certificates.ca(mesh).certificate if url is None else None)
    context = await asyncio.to_thread(ssl.create_default_context, cafile=str(authority) if authority else None)
    headers = {"x-api-key": await asyncio.to_thread(_key, mesh, url, api_key_file)}
    async with httpx.AsyncClient(base_url=base, verify=context, headers=headers, timeout=15) as client:
        tenants = [tenant] if tenant is not None else await _tenants(client)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(tenant_id: str) -> dict[str, Any]:
            async with slots:
                parameters = {"tenant_id": tenant_id, "timeframe": timeframe, "only_differences": "true"}
                return await _get(client, "/api/v2/ops/ledger", parameters)

        return list(await asyncio.gather(*(one(tenant_id) for tenant_id in tenants)))


async def _tenants(client: httpx.AsyncClient) -> list[str]:
    found: list[str] = []
    parameters: dict[str, str] = {}
    while True:
        page = await _get(client, "/api/v2/admin/tenants", parameters)
        found += [one["tenant_id"] for one in page["tenants"]]
        cursor = page.get("next_cursor")
        if not cursor:
            return sorted(found)
        parameters = {"cursor": cursor}


async def _get(client: httpx.AsyncClient, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    answer = await client.get(path, params=parameters)
    if answer.status_code != 200:
        raise ValueError(f"{path} answered {answer.status_code}: {answer.text[:500]}")
    document: dict[str, Any] = answer.json()
    return document


def _key(mesh: Mesh, url: str | None, file: Path | None) -> str:
    if file is not None:
        return file.read_text().strip()
    if key := os.environ.get("WEIR_API_KEY"):
        return key
    if url is not None:
        raise ValueError("another deployment needs --api-key-file or $WEIR_API_KEY")
    return certificates.bootstrap_key(mesh).read_text().strip()


def _show(books: Sequence[Mapping[str, Any]], timeframe: str) -> None:
    busy = [book for book in books if book["received"] or book["consumers"]]
    if not busy:
        console.print(f"no event in the last {timeframe}")
        return
    consumers = sorted({name for book in busy for name in book["consumers"]})
    table = Table(box=None, pad_edge=False)
    for name in (
        "tenant",
        "",
        "received",
        "accepted",
        "duplicate",
        "refused",
        *(name.replace(".", "\n") for name in consumers),
    ):
        table.add_column(name, justify="left" if name in ("tenant", "") else "right", overflow="fold")
    for book in busy:
        fates = book["fates"]
        refused = sum(count for fate, count in fates.items() if fate not in ("accepted", "duplicate"))
        done = [book["consumers"].get(name, {}) for name in consumers]
        table.add_row(
            book["tenant_id"],
            "[green]=[/]" if book["balanced"] else "[red]≠[/]",
            f"{book['received']:,}",
            f"{fates.get('accepted', 0):,}",
            f"{fates.get('duplicate', 0):,}",
            f"{refused:,}",
            *(f"{one.get('applied', 0) + one.get('quarantined', 0):,}" for one in done),
        )
    console.print(table)
    for book in busy:
        for minute in book["minutes"]:
            for one in minute["differences"]:
                who = f" by {one['consumer']}" if one["consumer"] else ""
                console.print(
                    f"{book['tenant_id']}  {minute['minute'][:16]}  {abs(one['events']):,} events "
                    f"{_MEANINGS[one['place']]}{who}",
                    markup=False,
                    soft_wrap=True,
                )
