"""`weir fraud`: what auditors and analysts of payments do at a terminal. Loaded by the `weir` command."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import asyncpg
import msgspec
import typer
from rich.console import Console
from weir_common.errors import WeirError
from weir_common.ids import EventId, TenantId
from weir_common.postgres import postgres_pool
from weir_common.problems import Problem

from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.past_model import open_past_model
from weir_fraud.adapters.postgres_decisions import PostgresDecisions
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.adapters.postgres_policies import PostgresPolicies
from weir_fraud.adapters.registered_models import RegisteredModels
from weir_fraud.cli_backtest import backtest_report, post_backtest, show_backtest
from weir_fraud.cli_operations import Authority, KeyFile, Url, declines, lift, models
from weir_fraud.domain.catalogue import load_catalogue
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.promotion_gate import of_backtest
from weir_fraud.domain.replay import Replay
from weir_fraud.errors import BacktestRefused, ModelRefused
from weir_fraud.load_models import LoadModel
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
            RegisteredModels(
                ModelFolder(settings.model_dir, catalogue),
                PostgresModels(pool, _nothing_to_wake),
                LoadModel(
                    await asyncio.to_thread(open_object_files, settings.models.store_uri),
                    partial(open_past_model, catalogue=catalogue),
                ),
            ),
            catalogue,
        )
        return [await again(tenant_id, event_id) for event_id in event_ids]


@fraud.command("train")
def train(
    tenants: Annotated[list[str], typer.Option("--tenant", help="Whose payments; may be given several times.")],
    output: Annotated[Path, typer.Option(help="A folder for model.onnx, model.txt and model.json.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Nothing that became known later is used (UTC; default: now).",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=3, max=365, help="Days of payments, before the label delay.")] = 28,
    label_delay_days: Annotated[
        int, typer.Option(min=0, max=90, help="Younger payments may still turn out to be fraud.")
    ] = 7,
    validation_days: Annotated[
        int, typer.Option(min=1, max=90, help="For the number of trees, the calibration and the thresholds.")
    ] = 7,
    test_days: Annotated[int, typer.Option(min=1, max=90, help="The last days; for the figures of the card.")] = 7,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--feature", help="Only these, by name or pattern (merchant_*); may be given several times. Default: all."
        ),
    ] = None,
    positive_weight: Annotated[float, typer.Option(min=0.01, help="Of a fraud against an honest payment.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same archive and seed give the same bytes.")] = 20260105,
    boosters: Annotated[
        int,
        typer.Option(
            min=1, max=20, help="The mean of so many, with seeds of their own: less chance, dearer explanations."
        ),
    ] = 1,
    refit: Annotated[
        bool, typer.Option(help="Grow it once more from all days, those that validate and test, too.")
    ] = True,
    register: Annotated[bool, typer.Option("--register", help="Put it into the registry, as a candidate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the model card instead of text.")] = False,
) -> None:
    """Train a model on the archive: features point in time, labels as they had come back.

    Payments are read from the Iceberg archive, labels from the service's store. Ordered by time: the first days are learnt from, the next
    validate, the last test. The probabilities are calibrated. A model whose two forms (LightGBM, ONNX) differ by more than 1e-6 on the
    test days is refused, and so is one that had fewer than 20 frauds to learn from or to be measured on.

    Exit code 0: written. 1: refused, with the reason. 2: the archive or the store cannot be read.

    Example:  weir fraud train --tenant merchant_12345 --days 56 --output model --register
    """
    started = time.monotonic()

    def say(line: str) -> None:
        errors.print(f"{time.monotonic() - started:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)

    try:
        from weir_fraud.training.archive.command import Order, train_on_archive
        from weir_fraud.training.archive.recipe import Recipe
    except ImportError as error:
        _fail(f"training needs libraries that serving does not: {error}. Install weir-fraud[training].")
    try:
        recipe = Recipe(
            as_of=datetime.now(UTC) if as_of is None else as_of.replace(tzinfo=UTC),
            days=days,
            validation_days=validation_days,
            test_days=test_days,
            label_delay_days=label_delay_days,
            positive_weight=positive_weight,
            seed=seed,
            boosters=boosters,
            refit=refit,
        )
    except ValueError as error:
        _fail(str(error))
    order = Order(tuple(TenantId(tenant) for tenant in tenants), recipe, tuple(features or ()), output, register)
    try:
        card = _run(train_on_archive(order, _settings(), _archive(), say))
    except ModelRefused as error:
        errors.print(f"[red]✗[/] the model is refused: {error}", soft_wrap=True)
        raise typer.Exit(_DIFFERENT) from error
    if json_:
        sys.stdout.write(msgspec.json.encode(card).decode() + "\n")
    else:
        _show_card(card, output, register)


@fraud.command("rebuild")
def rebuild(
    tenants: Annotated[
        list[str] | None,
        typer.Option("--tenant", help="Whose histories; may be given several times (default: everybody's)."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Payments that happened from then on (UTC; default: 39 days ago, all that features may ask for).",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Fill the histories in Valkey again, after it lost them.

    Payments are read from the Iceberg archive in the order in which they were accepted, then from the log what the archive does not have
    yet, and what became known of them from the service's store. What a history has already is left alone: it may be run again, and
    beside a service that serves. Until it has finished features are incomplete.

    Exit code 0: done. 2: the archive, the log or a store cannot be read; what was put back stays, and may be gone on with.

    Example:  weir fraud rebuild --tenant merchant_12345
    """
    started = time.monotonic()

    def say(line: str) -> None:
        errors.print(f"{time.monotonic() - started:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)

    try:
        from weir_fraud.rebuild_command import REACH, rebuild_histories
    except ImportError as error:
        _fail(f"reading the archive needs libraries that serving does not: {error}. Install weir-fraud[training].")
    begin = datetime.now(UTC) - REACH if since is None else since.replace(tzinfo=UTC)
    whose = [TenantId(tenant) for tenant in dict.fromkeys(tenants or [])]
    done = _run(rebuild_histories(whose, begin, _settings(), _archive(), say))
    document = {"tenants": whose or None, "since": begin.isoformat(), **done._asdict()}
    if json_:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        console.print(
            f"[green]rebuilt[/] from {done.from_archive} payments in the archive and {done.from_log} on the log, "
            f"{done.labelled} of them labelled, in {done.seconds:.1f} s",
            soft_wrap=True,
        )


@fraud.command("backtest")
def backtest(
    tenants: Annotated[list[str], typer.Option("--tenant", help="Whose payments; may be given several times.")],
    version: Annotated[
        str | None, typer.Argument(help="Which one, by its name in the registry (or give its folder with --model).")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The folder that `weir fraud train` wrote, before it is registered.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Nothing that became known later is used (UTC; default: now).",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="Days of payments, before the label delay.")] = 28,
    label_delay_days: Annotated[
        int, typer.Option(min=0, max=90, help="Younger payments may still turn out to be fraud.")
    ] = 7,
    post: Annotated[bool, typer.Option("--post", help="Give it to the gate, as evidence. Audited.")] = False,
    url: Url = None,
    api_key_file: KeyFile = None,
    ca: Authority = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Compare a version with the champion on the same archived payments, as the gate of a promotion asks for it.

    Both score the same rows, made as `weir fraud train` makes them: features as they were, labels as they were known at --as-of. Give it days
    that neither was trained on: figures of days that a model knew are no evidence, are marked so, and are not taken by --post.

    The bounds shown are those of this environment; the gate applies the service's own: `weir fraud models gate`.

    Exit code 0: the backtest's checks of the gate would pass. 1: they would not, or there is no evidence. 2: it could not be done.

    Example:  weir fraud backtest fraud-0123456789ab --tenant merchant_12345 --days 14 --post
    """
    started = time.monotonic()

    def say(line: str) -> None:
        errors.print(f"{time.monotonic() - started:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)

    try:
        from weir_fraud.training.archive.backtest import Span
        from weir_fraud.training.archive.backtest_command import BacktestOrder, backtest_on_archive
    except ImportError as error:
        _fail(f"a backtest needs libraries that serving does not: {error}. Install weir-fraud[training].")
    now = datetime.now(UTC)
    span = Span(as_of=now if as_of is None else as_of.replace(tzinfo=UTC), days=days, label_delay_days=label_delay_days)
    if span.as_of > now:
        _fail(f"{span.as_of:%Y-%m-%d %H:%M} UTC has not been yet")
    order = BacktestOrder(version, model, tuple(TenantId(tenant) for tenant in dict.fromkeys(tenants)), span)
    settings = _settings()
    try:
        compared = _run(backtest_on_archive(order, settings, _archive(), say))
    except BacktestRefused as error:
        errors.print(f"[red]✗[/] {error}", soft_wrap=True)
        raise typer.Exit(_DIFFERENT) from error
    checks = tuple(of_backtest(compared.backtest, settings.gate.bounds, now))
    refused = bool(compared.seen)
    recorded = post_backtest(compared.backtest, url, api_key_file, ca) if post and not refused else None
    if json_:
        sys.stdout.write(json.dumps(backtest_report(compared.backtest, compared.seen, checks, recorded)) + "\n")
    else:
        show_backtest(compared.backtest, compared.seen, checks, recorded)
    if post and refused:
        errors.print("[red]✗[/] not posted: figures of days that a model knew are no evidence", soft_wrap=True)
    raise typer.Exit(0 if not refused and all(check.passed for check in checks) else _DIFFERENT)


def _archive() -> Any:
    """Where the archive is: from the environment, or else of the mesh in this folder."""
    from weir_fraud.adapters.archived_payments import ArchiveSettings

    if "WEIR_FRAUD_ARCHIVE_CATALOG_DSN" not in os.environ:
        from weir_local.addresses import environment_of
        from weir_local.cli import this_mesh

        lake = environment_of(this_mesh(), "analytics")
        for name in ("WAREHOUSE", "CATALOG_DSN"):
            os.environ[f"WEIR_FRAUD_ARCHIVE_{name}"] = lake[f"WEIR_ANALYTICS_LAKE__{name}"]
    return ArchiveSettings()


def _show_card(card: ModelCard, output: Path, registered: bool) -> None:
    test = card.metrics["test"]
    console.print(
        f"[green]{card.version}[/] written to {output}" + (", registered" if registered else ""), soft_wrap=True
    )
    for name, label in (
        ("auc_roc", "AUC ROC"),
        ("average_precision", "average precision"),
        ("card_precision_100", "card precision@100"),
    ):
        low, high = test[f"{name}_95"]
        console.print(f"  {label:20}{test[name]:.4f}  (95 %: {low:.4f} to {high:.4f})")
    console.print(
        f"  {'calibration error':20}{test['calibration_error']:.5f}  (before: {test['calibration_error_before']:.5f})"
    )
    console.print(f"  of {test['rows']} payments, {test['frauds']} of them fraud, by {test['of']}", soft_wrap=True)
    console.print("  what tells most:", soft_wrap=True)
    for name, size in list(card.metrics["importance"].items())[:8]:
        console.print(f"    {name:42}{size['contribution']:.3f} of log-odds a payment, {size['gain']:.1%} of the gain")


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
    except (ModelRefused, BacktestRefused):
        raise
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
