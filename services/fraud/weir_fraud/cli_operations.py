"""`weir fraud declines|lift|models …`: what operators ask of a deployment at a terminal, over its public API."""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

DECLINES = "/api/v2/ml/declines/fraud"
MODELS = "/api/v2/ml/models/fraud/versions"
ROLLBACK = "/api/v2/ml/models/fraud/rollback"

models = typer.Typer(no_args_is_help=True, help="Versions of the model.")

# Exit codes: 1 the answer is no, 2 it could not be asked.
_NO, _UNKNOWN = 1, 2

Url = Annotated[str | None, typer.Option(help="Another deployment's gateway (default: the mesh of this checkout).")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", help="File with the API key (default: $WEIR_API_KEY, or this mesh's operator's)."),
]
Authority = Annotated[
    Path | None, typer.Option("--ca", help="Certificate authority of the deployment, for its own CA.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def declines(
    tenant: Annotated[str, typer.Argument(help="Whose declines.")],
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: AsJson = False,
) -> None:
    """A tenant's share of declines, its corridor, and whether its declines are halted.

    Exit code 0: not halted. 1: halted. 2: it could not be asked.

    Example:  weir fraud declines merchant_12345
    """
    found = ask("GET", DECLINES, {"tenant_id": tenant}, None, url, api_key_file, ca)
    if json_:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _show_declines(found)
    raise typer.Exit(0 if found["halt"] is None else _NO)


def lift(
    tenant: Annotated[str, typer.Argument(help="Whose declines are halted.")],
    note: Annotated[str, typer.Option(help="Why it may decline again; kept, so no personal data.")],
    halted_at: Annotated[
        str | None, typer.Option(help="Of which halt, as `weir fraud declines` prints it (default: the one in force).")
    ] = None,
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: AsJson = False,
) -> None:
    """Let a tenant's declines be declines again; in force everywhere within five seconds. Audited.

    The share is counted anew. Look first at why it rose: `weir fraud declines` has the figures, the review queue has the payments.

    Exit code 0: lifted. 1: there was no such halt. 2: it could not be asked.

    Example:  weir fraud lift merchant_12345 --note "Rule 7 is switched off"
    """
    if halted_at is None:
        halt = ask("GET", DECLINES, {"tenant_id": tenant}, None, url, api_key_file, ca)["halt"]
        if halt is None:
            errors.print(f"Declines of {tenant} are not halted.", markup=False)
            raise typer.Exit(_NO)
        halted_at = halt["halted_at"]
    body = {"halted_at": halted_at, "note": note}
    lifted = ask("POST", f"{DECLINES}/lift", {"tenant_id": tenant}, body, url, api_key_file, ca)
    if json_:
        sys.stdout.write(json.dumps(lifted) + "\n")
    else:
        console.print(f"[green]lifted[/] the halt of {lifted['halted_at']} of {tenant}", soft_wrap=True)


@models.command("gate")
def gate(
    version: Annotated[str, typer.Argument(help="Which one.")],
    stage: Annotated[str, typer.Option(help="To which stage: champion or challenger.")] = "champion",
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: AsJson = False,
) -> None:
    """Whether a version may be promoted: each check with what was found and its bound.

    Exit code 0: it passes. 1: it does not, or there is no such version. 2: it could not be asked.

    Example:  weir fraud models gate fraud-0123456789ab
    """
    found = ask("GET", f"{MODELS}/{version}/gate", {"stage": stage}, None, url, api_key_file, ca)
    if json_:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for check in found["checks"]:
            value = "nothing" if check["value"] is None else f"{check['value']:.6g}"
            mark = "[green]✓[/]" if check["passed"] else "[red]✗[/]"
            console.print(f"{mark} {check['name']}: {value}, bound {check['bound']:.6g}", soft_wrap=True)
        console.print("passed" if found["passed"] else "not passed", f"against {found['champion']}", markup=False)
    raise typer.Exit(0 if found["passed"] else _NO)


@models.command("list")
def list_(url: Url = None, api_key_file: KeyFile = None, ca: Authority = None, json_: AsJson = False) -> None:
    """Every version with its stage, the champion first.

    Exit code 0: listed. 2: it could not be asked.

    Example:  weir fraud models list
    """
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while True:
        page = ask("GET", MODELS, query, None, url, api_key_file, ca)
        found += page["versions"]
        if not page.get("next_cursor"):
            break
        query = {"cursor": page["next_cursor"]}
    if json_:
        sys.stdout.write(json.dumps({"versions": found}) + "\n")
        return
    for version in sorted(found, key=lambda one: _STAGES.index(one["stage"])):
        tested = version["metrics"].get("test", {})
        figures = ", ".join(
            f"{label} {tested[name]:.3f}"
            for name, label in (("auc_roc", "AUC"), ("average_precision", "average precision"))
            if name in tested
        )
        console.print(f"{version['stage']:10} {version['version']}  {figures}", soft_wrap=True, markup=False)


_STAGES = ("champion", "challenger", "shadow", "candidate", "retired")


@models.command("promote")
def promote(
    version: Annotated[str, typer.Argument(help="Which one.")],
    stage: Annotated[str, typer.Option(help="champion, challenger, shadow, candidate or retired.")],
    note: Annotated[str, typer.Option(help="Why; kept.")],
    override_gate: Annotated[
        str | None,
        typer.Option(help="Why it is promoted although the gate does not pass; kept on the version for ever."),
    ] = None,
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: AsJson = False,
) -> None:
    """Move a version to a stage; what decides from then on does so everywhere within five seconds. Audited.

    Exit code 0: moved. 1: the gate does not pass, the model cannot be used, or there is no such version. 2: it could not be asked.

    Example:  weir fraud models promote fraud-0123456789ab --stage champion --note "Backtest of November"
    """
    body = {"stage": stage, "note": note, **({} if override_gate is None else {"override_gate": override_gate})}
    _moved(ask("POST", f"{MODELS}/{version}/promote", {}, body, url, api_key_file, ca), json_)


@models.command("rollback")
def rollback(
    note: Annotated[str, typer.Option(help="Why; kept.")],
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: AsJson = False,
) -> None:
    """Let the champion before decide again, everywhere within five seconds; the gate is not asked. Audited.

    Exit code 0: done. 1: there was none before. 2: it could not be asked.

    Example:  weir fraud models rollback --note "Declines doubled"
    """
    _moved(ask("POST", ROLLBACK, {}, {"note": note}, url, api_key_file, ca), json_)


def _moved(found: dict[str, Any], json_: bool) -> None:
    if json_:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        console.print(f"[green]{found['version']}[/] is {found['stage']} now", soft_wrap=True)


@models.callback()
def _group() -> None:
    """A group, however few commands it has."""


def _show_declines(found: dict[str, Any]) -> None:
    corridor = found["corridor"]
    share = "unknown" if found["share"] is None else f"{found['share']:.2%}"
    console.print(
        f"{found['tenant_id']}: {found['declines']} of {found['decisions']} declined in {corridor['window_minutes']} minutes, {share} "
        f"(corridor {corridor['floor']:.2%} to {corridor['ceiling']:.2%} from {corridor['least_decisions']} decisions on): {found['position']}",
        soft_wrap=True,
        markup=False,
    )
    halt = found["halt"]
    if halt is not None:
        console.print(
            f"[red]halted[/] since {halt['halted_at']}, at {halt['share']:.2%}: would-be declines are reviews",
            soft_wrap=True,
        )


def ask(
    method: str,
    path: str,
    query: dict[str, str],
    body: dict[str, Any] | None,
    url: str | None,
    api_key_file: Path | None,
    ca: Path | None,
) -> dict[str, Any]:
    """The answer. Ends the command if there is none: 1 for a conflict or what is not there, else 2."""
    try:
        answer = asyncio.run(_answer(method, path, query, body, url, api_key_file, ca))
    except (httpx.HTTPError, OSError, ValueError) as error:
        errors.print(f"[red]✗[/] {str(error) or repr(error)}", soft_wrap=True)
        raise typer.Exit(_UNKNOWN) from error
    document: dict[str, Any] = json.loads(answer.content) if answer.content else {}
    if answer.status_code != 200:
        errors.print(f"{answer.status_code}: {document.get('detail', answer.text[:500])}", soft_wrap=True, markup=False)
        raise typer.Exit(_NO if answer.status_code in (404, 409) else _UNKNOWN)
    return document


async def _answer(
    method: str,
    path: str,
    query: dict[str, str],
    body: dict[str, Any] | None,
    url: str | None,
    api_key_file: Path | None,
    ca: Path | None,
) -> httpx.Response:
    key = api_key_file.read_text("ascii").strip() if api_key_file is not None else os.environ.get("WEIR_API_KEY", "")  # noqa: ASYNC240 - a command that does nothing else
    if url is None:
        # Only here: the service itself knows nothing of the native mesh.
        from weir_local import certificates
        from weir_local.cli import this_mesh

        mesh = this_mesh()
        url = f"https://localhost:{mesh.port('gateway-https')}"
        ca = ca or certificates.ca(mesh).certificate
        key = key or certificates.bootstrap_key(mesh).read_text("ascii").strip()
    if not key:
        raise ValueError("no API key: name a file with --api-key-file, or set WEIR_API_KEY")
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    async with httpx.AsyncClient(base_url=url, verify=context, headers={"x-api-key": key}, timeout=15) as client:
        return await client.request(method, path, params=query, json=body)
