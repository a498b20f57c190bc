"""What `weir fraud backtest` prints and sends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from rich.console import Console
from rich.table import Table

from weir_fraud.cli_operations import MODELS, ask
from weir_fraud.domain.promotion_gate import Backtest, Check, Estimate

console = Console(highlight=False)

_ESTIMATES: Final = {
    "auc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_100": "card precision@100",
}
_RATES: Final = {"review_rate": "reviewed", "decline_rate": "declined"}


class SeenBefore(Protocol):
    """Days of the backtest that a model knew; training's libraries are not loaded for it."""

    @property
    def version(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime: ...


def post_backtest(backtest: Backtest, url: str | None, api_key_file: Path | None, ca: Path | None) -> dict[str, Any]:
    """As it was recorded. Ends the command if it was not."""
    body = msgspec.to_builtins(backtest)
    return ask("POST", f"{MODELS}/{backtest.candidate.version}/backtests", {}, body, url, api_key_file, ca)


def backtest_report(
    backtest: Backtest, seen: Sequence[SeenBefore], checks: Sequence[Check], recorded: dict[str, Any] | None
) -> dict[str, Any]:
    """For programs. `backtest` is what the gate's endpoint takes."""
    return {
        "backtest": msgspec.to_builtins(backtest),
        "in_sample": [
            {
                "version": one.version,
                "period": one.period,
                "from": one.since.isoformat(),
                "until": one.until.isoformat(),
            }
            for one in seen
        ],
        "checks": msgspec.to_builtins(list(checks)),
        "passed": not seen and all(check.passed for check in checks),
        "number": None if recorded is None else recorded["number"],
    }


def show_backtest(
    backtest: Backtest, seen: Sequence[SeenBefore], checks: Sequence[Check], recorded: dict[str, Any] | None
) -> None:
    """For people."""
    console.print(
        f"{backtest.payments} payments from {backtest.data_from:%Y-%m-%d %H:%M} until {backtest.data_until:%Y-%m-%d %H:%M} UTC, "
        f"{backtest.frauds} of them fraud",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for side, figures in (("candidate", backtest.candidate), ("champion", backtest.champion)):
        table.add_column(f"{side}\n{figures.version}", justify="right", no_wrap=True)
    for name, label in _ESTIMATES.items():
        table.add_row(label, *(_estimate(getattr(one, name)) for one in (backtest.candidate, backtest.champion)))
    for name, label in _RATES.items():
        table.add_row(label, *(f"{getattr(one, name):.3%}" for one in (backtest.candidate, backtest.champion)))
    console.print(table)
    for one in seen:
        console.print(
            f"[red]in-sample[/] {one.version} knew {one.since:%Y-%m-%d %H:%M} until {one.until:%Y-%m-%d %H:%M} UTC "
            f"(its {one.period} days): these figures are no evidence",
            soft_wrap=True,
        )
    console.print("the gate's checks of a backtest:")
    for check in checks:
        # A backtest that was made has each value.
        value = "nothing" if check.value is None else f"{check.value:.6g}"
        mark = "[green]✓[/]" if check.passed else "[red]✗[/]"
        console.print(f"  {mark} {check.name}: {value}, bound {check.bound:.6g}", soft_wrap=True)
    if recorded is not None:
        console.print(f"[green]recorded[/] as number {recorded['number']}", soft_wrap=True)


def _estimate(one: Estimate) -> str:
    return f"{one.value:.4f}  ({one.low:.4f} to {one.high:.4f})"
