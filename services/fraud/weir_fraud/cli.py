"""`weir fraud`: what auditors and analysts of payments do at a terminal. Loaded by the `weir` command."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn
from uuid import UUID

import asyncpg
import typer
from rich.console import Console
from weir_common.errors import WeirError
from weir_common.ids import EventId, TenantId
from weir_common.postgres import postgres_pool
from weir_common.problems import Problem

from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.postgres_decisions import PostgresDecisions
from weir_fraud.adapters.postgres_policies import PostgresPolicies
from weir_fraud.cli_operations import declines, lift, models
from weir_fraud.domain.catalogue import load_catalogue
from weir_fraud.domain.replay import Replay
from weir_fraud.replay_decision import ReplayDecision
from weir_fraud.settings import FraudSettings

fraud = typer.Typer(no_args_is_help=True, help="Decisions on payments.")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Exit codes: 1 a decision is not what it was, 2 it could not be looked at.
_DIFFERENT, _UNKNOWN = 1, 2


@fraud.callback()
def _group() -> None:
    """A group, however few commands it has."""


fraud.command("declines")(declines)
fraud.command("lift")(lift)
fraud.add_typer(models, name="models")


@fraud.command("replay")
def replay(
    event_ids: Annotated[list[UUID], typer.Argument(metavar="EVENT_ID...", help="Of the payment events.")],
    tenant: Annotated[str, typer.Option(help="Whose decisions.")],
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Make stored decisions again and compare them byte for byte.

    From the feature snapshot that each keeps, by the model and the policy of its versions: score, margin, contributions,
    reason codes, thresholds and outcome. Read from the service's own store; nothing is changed.

    Exit code 0: identical. 1: not, each difference is listed. 2: it could not be made again, for want of the decision,
    or of its model or policy.

    Example:  weir fraud replay 6f1e2d3c-0a9b-4c8d-9e7f-112233445566 --tenant merchant_12345
    """
    replays = _run(_replays(TenantId(tenant), [EventId(str(event_id)) for event_id in event_ids]))
    if json_:
        sys.stdout.write(json.dumps(_document(replays)) + "\n")
    else:
        for one in replays:
            _show(one)
    raise typer.Exit(0 if all(one.identical for one in replays) else _DIFFERENT)


async def _replays(tenant_id: TenantId, event_ids: Sequence[EventId]) -> list[Replay]:
    settings = _settings()
    catalogue = load_catalogue()
    async with postgres_pool(settings.postgres, "weir fraud") as pool:
        again = ReplayDecision(
            PostgresDecisions(pool, catalogue, _nothing_to_wake),
            PostgresPolicies(pool, _nothing_to_wake),
            CelConditions(catalogue),
            ModelFolder(settings.model_dir, catalogue),
            catalogue,
        )
        return [await again(tenant_id, event_id) for event_id in event_ids]


def _nothing_to_wake() -> None:
    """Nothing is written here."""


def _settings() -> FraudSettings:
    """From the environment, or else of the mesh in this folder."""
    if "WEIR_FRAUD_POSTGRES__DSN" not in os.environ:
        # Only here: the service itself knows nothing of the native mesh.
        from weir_local.addresses import environment_of
        from weir_local.cli import this_mesh

        os.environ.update(environment_of(this_mesh(), "fraud"))
    return FraudSettings()  # the values come from the environment


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except (Problem, WeirError) as error:
        _fail(str(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        _fail(f"the store cannot be read: {type(error).__name__}: {error}")


def _fail(reason: str) -> NoReturn:
    errors.print(f"[red]✗[/] {reason}", soft_wrap=True)
    raise typer.Exit(_UNKNOWN)


def _document(replays: Sequence[Replay]) -> dict[str, Any]:
    return {
        "identical": all(one.identical for one in replays),
        "replays": [
            {
                "event_id": one.decision.event_id,
                "identical": one.identical,
                "model_version": one.decision.model_version,
                "policy_version": one.decision.policy_version,
                "taken_as_stored": list(one.not_stored),
                "differences": [
                    {"pointer": found.pointer, "stored": found.stored, "recomputed": found.recomputed}
                    for found in one.differences
                ],
            }
            for one in replays
        ],
    }


def _show(one: Replay) -> None:
    made_by = f"{one.decision.model_version}, policy {one.decision.policy_version}"
    taken = f"; taken as stored: {', '.join(one.not_stored)}" if one.not_stored else ""
    if one.identical:
        console.print(f"[green]identical[/] {one.decision.event_id} ({made_by}{taken})", soft_wrap=True)
        return
    console.print(f"[red]different[/] {one.decision.event_id} ({made_by}{taken})", soft_wrap=True)
    for found in one.differences:
        console.print(f"  {found.pointer}", soft_wrap=True, markup=False)
        console.print(f"    stored      {found.stored}", soft_wrap=True, markup=False)
        console.print(f"    recomputed  {found.recomputed}", soft_wrap=True, markup=False)
