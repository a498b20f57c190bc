"""`weir audit` and `weir export`: what auditors and requesters do at a terminal. Loaded by the `weir` command."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import httpx
import typer
from rich.console import Console
from rich.table import Table
from weir_common.audit import PLATFORM
from weir_common.errors import WeirError
from weir_common.ids import TenantId
from weir_common.postgres import postgres_pool

from weir_compliance.adapters.export_key import new_export_key, read_export_keys
from weir_compliance.adapters.http_audit_log import HttpAuditLog
from weir_compliance.adapters.postgres_audit import PostgresAuditLog
from weir_compliance.domain.audit_chain import Head, StoredEntry, Verdict
from weir_compliance.domain.audit_leaf import log_id_of, read_leaf
from weir_compliance.open_archive import ArchiveFaultError, open_archive
from weir_compliance.settings import Settings
from weir_compliance.verify_audit import EntrySource, verify_audit

audit = typer.Typer(no_args_is_help=True, help="The tamper-evident log of everything privileged.")
export = typer.Typer(no_args_is_help=True, help="Exports of a person's data, from the side of who receives them.")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Exit codes: 1 the log or archive is not right, 2 it could not be looked at.
_WRONG, _UNKNOWN = 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Tenant = Annotated[
    str | None, typer.Option(help="Whose log. Without it: every log (database), or the platform's (API).")
]
Url = Annotated[str | None, typer.Option(help="Read over this deployment's API instead of from the database.")]
ApiKeyFile = Annotated[Path | None, typer.Option(help="File with an auditor's API key (default: $WEIR_API_KEY).")]
CaFile = Annotated[Path | None, typer.Option("--ca", help="Certificate authority of the deployment, for its own CA.")]


@audit.command("verify")
def verify(
    tenant: Tenant = None,
    expect: Annotated[
        str | None,
        typer.Option(
            help="A head noted earlier, SIZE:HASH, that the log must contain; only this shows a log that was rewritten as a whole."
        ),
    ] = None,
    url: Url = None,
    api_key_file: ApiKeyFile = None,
    ca: CaFile = None,
    json_: Json = False,
) -> None:
    """Recompute every hash and say exactly where the log contradicts itself.

    Exit code 0: intact. 1: broken, each place is listed. 2: it could not be read.

    Examples:  weir audit verify · weir audit verify --tenant shop-1 --json · weir audit verify --tenant shop-1
    --expect 120:9f3c…
    """
    if expect is not None and tenant is None:
        _fail("--expect is the head of one log: say whose with --tenant", _UNKNOWN)
    verdicts = _run(_verify(tenant, expect, url, api_key_file, ca))
    if json_:
        sys.stdout.write(json.dumps(_verdicts_document(verdicts)) + "\n")
    else:
        _show_verdicts(verdicts)
    raise typer.Exit(0 if all(verdict.intact for verdict in verdicts) else _WRONG)


@audit.command("list")
def list_(
    tenant: Tenant = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest entries.")] = 20,
    url: Url = None,
    api_key_file: ApiKeyFile = None,
    ca: CaFile = None,
    json_: Json = False,
) -> None:
    """The newest entries of a log, oldest first. Over the API reading is itself an entry.

    Examples:  weir audit list --tenant shop-1 · weir audit list --last 5 --json
    """
    rows = _run(_newest(TenantId(tenant or PLATFORM), last, url, api_key_file, ca))
    if json_:
        sys.stdout.write(json.dumps([_entry_document(row) for row in rows]) + "\n")
        return
    if not rows:
        console.print("no entries yet")
    for row in rows:
        entry = _entry_document(row)
        leaf = entry["entry"] or {}
        detail = " ".join(f"{key}={value}" for key, value in (entry["detail"] or {}).items())
        members = " ".join(str(leaf.get(key, "?")) for key in ("time", "outcome", "action", "object"))
        # Lines, not a table: they are long, and somebody will search in them.
        console.print(f"{row.seq:>6} {members} by {leaf.get('actor', '?')} {detail}", soft_wrap=True, markup=False)


@export.command("decrypt")
def decrypt(
    archive: Annotated[Path, typer.Argument(help="The downloaded archive.", exists=True, dir_okay=False)],
    identity: Annotated[
        Path,
        typer.Option(
            "--identity", "-i", help="File with the age identity (AGE-SECRET-KEY-1…); - reads it from the terminal."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to make (default: named after the archive).")] = None,
    json_: Json = False,
) -> None:
    """Open an export, check every file against its manifest, and unpack it.

    Exit code 0: all there. 1: it does not open, or is not what its manifest says (then nothing is unpacked). 2: no
    usable key file.

    Example:  weir export decrypt weir-export-….tar.gz.age --identity key.txt --out answer
    """
    folder = out if out is not None else archive.with_name(archive.name.split(".")[0])
    try:
        opened = open_archive(archive, _read_identity(identity), folder)
    except ArchiveFaultError as error:
        _fail(str(error), _WRONG)
    if json_:
        sys.stdout.write(json.dumps({"folder": str(opened.folder), "manifest": opened.manifest}) + "\n")
        return
    table = Table("service", "records", "bytes", "file", box=None)
    services: Any = opened.manifest["services"]
    for service in services:
        table.add_row(service["service"], str(service["records"]), str(service["bytes"]), service["path"])
    console.print(f"unpacked into {opened.folder}; every file is what the manifest says")
    console.print(table)


@export.command("new-key")
def new_key() -> None:
    """Print a new export key for the key file (put it on top of the old ones to rotate)."""
    sys.stdout.write(new_export_key())


# ── reading
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _verify(
    tenant: str | None, expect: str | None, url: str | None, api_key_file: Path | None, ca: Path | None
) -> list[Verdict]:
    async with _source(url, api_key_file, ca) as source:
        if tenant is not None:
            tenants: Sequence[TenantId] = [TenantId(tenant)]
        elif isinstance(source, PostgresAuditLog):
            tenants = await source.logs()
        else:
            tenants = [PLATFORM]
        return [await verify_audit(source, one, _noted_head(one, expect)) for one in tenants]


async def _newest(
    tenant_id: TenantId, last: int, url: str | None, api_key_file: Path | None, ca: Path | None
) -> Sequence[StoredEntry]:
    async with _source(url, api_key_file, ca) as source:
        head = await source.head(tenant_id)
        return await source.entries(tenant_id, max(head.size - last, 0) - 1, last)


def _noted_head(tenant_id: TenantId, text: str | None) -> Head | None:
    if text is None:
        return None
    size, _, hash_ = text.partition(":")
    try:
        noted = bytes.fromhex(hash_)
        if len(noted) != 32:
            raise ValueError("a hash has 32 bytes")
        return Head(log_id_of(tenant_id), int(size), noted)
    except ValueError as error:
        _fail(f"--expect takes SIZE:HASH, as `weir audit verify` prints it ({error})", _UNKNOWN)


@asynccontextmanager
async def _source(url: str | None, api_key_file: Path | None, ca: Path | None) -> AsyncIterator[EntrySource]:
    if url is not None:
        headers = {"X-Api-Key": _api_key(api_key_file)}
        verify_with: Any = str(ca) if ca is not None else True
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=verify_with) as client:
            yield HttpAuditLog(client)
        return
    settings = _settings()
    async with postgres_pool(settings.postgres, "weir audit") as pool:
        yield PostgresAuditLog(pool, read_export_keys(settings.exports.key_path))


def _settings() -> Settings:
    """From the environment, or else of the mesh in this folder."""
    if "WEIR_COMPLIANCE_POSTGRES__DSN" not in os.environ:
        # Only here: the service itself knows nothing of the native mesh.
        from weir_local.addresses import environment_of
        from weir_local.cli import this_mesh

        os.environ.update(environment_of(this_mesh(), "compliance"))
    return Settings()  # the values come from the environment


def _api_key(file: Path | None) -> str:
    key = file.read_text("ascii").strip() if file is not None else os.environ.get("WEIR_API_KEY", "")
    if not key:
        _fail("no API key: name a file with --api-key-file, or set WEIR_API_KEY", _UNKNOWN)
    return key


def _read_identity(file: Path) -> str:
    text = sys.stdin.read() if str(file) == "-" else file.read_text("ascii", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1 or not lines[0].startswith("AGE-SECRET-KEY-1"):
        _fail("the identity file holds no age identity (one line AGE-SECRET-KEY-1…)", _UNKNOWN)
    return lines[0]


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except httpx.HTTPStatusError as error:
        _fail(f"the deployment answered {error.response.status_code}: {error.response.text[:500]}", _UNKNOWN)
    except (httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, WeirError) as error:
        _fail(f"the log cannot be read: {type(error).__name__}: {error}", _UNKNOWN)


def _fail(reason: str, code: int) -> NoReturn:
    errors.print(f"[red]✗[/] {reason}", soft_wrap=True)
    raise typer.Exit(code)


# ── showing
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _verdicts_document(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "intact": all(verdict.intact for verdict in verdicts),
        "logs": [
            {
                "log_id": verdict.log_id,
                "intact": verdict.intact,
                "entries": verdict.entries,
                "erased_payloads": verdict.erased_payloads,
                "head": f"{verdict.entries}:{verdict.head_hash.hex()}",
                "breaks": [asdict(found) for found in verdict.breaks],
            }
            for verdict in verdicts
        ],
    }


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    if not verdicts:
        console.print("no log was written yet")
    for verdict in verdicts:
        mark = "[green]✓[/]" if verdict.intact else "[red]✗[/]"
        erased = f", {verdict.erased_payloads} of them erased" if verdict.erased_payloads else ""
        head = f"{verdict.entries}:{verdict.head_hash.hex()}"
        console.print(f"{mark} {verdict.log_id}  {verdict.entries} entries{erased}  head {head}", soft_wrap=True)
        for found in verdict.breaks:
            console.print(f"    entry {found.seq} {found.entry_id} {found.kind}", soft_wrap=True)
            console.print(f"      expected  {found.expected}", soft_wrap=True)
            console.print(f"      got       {found.got}", soft_wrap=True)


def _entry_document(row: StoredEntry) -> dict[str, Any]:
    try:
        members: Any = read_leaf(row.leaf)
    except ValueError:
        members = None
    detail = None if row.payload is None else json.loads(row.payload)
    return {"seq": row.seq, "entry_id": row.entry_id, "entry": members, "detail": detail, "fault": row.fault}
