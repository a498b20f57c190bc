"""Two models on the same archived payments: the evidence that the gate of a promotion asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.promotion_gate import Backtest, Estimate, Figures
from weir_fraud.errors import BacktestRefused
from weir_fraud.ports import WhatIfModel
from weir_fraud.training.archive.intervals import figures
from weir_fraud.training.archive.rows import Rows

LEAST_FRAUDS: Final = 20
"""Of each kind; an interval of fewer says nothing. As many as training asks for in each of its periods."""
SEED: Final = 20260105
"""Of the intervals: the same rows and models give the same figures."""
_ROWS_AT_ONCE: Final = 10_000


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments: those of `days` days that end `label_delay_days` before `as_of`, as in training."""

    as_of: datetime
    """Nothing that became known later is used."""
    days: Annotated[int, Meta(ge=1, le=365)] = 28
    label_delay_days: Annotated[int, Meta(ge=0, le=90)] = 7

    @property
    def until(self) -> datetime:
        return self.as_of - timedelta(days=self.label_delay_days)

    @property
    def since(self) -> datetime:
        return self.until - timedelta(days=self.days)


@dataclass(frozen=True)
class Seen:
    """A part of the backtest's period that a model knew already when it was made."""

    version: str
    period: str
    """As its card calls it: train, validation, test."""
    since: datetime
    until: datetime


def seen_before(card: ModelCard, span: Span) -> list[Seen]:
    """What of the span is in the periods of the model's card, whoever's payments they were.

    Of other tenants, too: who attacked them in these days attacked this one. Days that test a model that was not grown again from them
    count, since it may have been chosen for its figures there. Periods of synthetic data are no dates and say nothing.
    """
    found: list[Seen] = []
    for name, (first, end) in _periods(card).items():
        since, until = max(first, span.since), min(end, span.until)
        if since < until:
            found.append(Seen(card.version, name, since, until))
    return found


def _periods(card: ModelCard) -> dict[str, tuple[datetime, datetime]]:
    if card.training.get("data") != "archive":
        return {}
    try:
        return {name: (_moment(first), _moment(end)) for name, (first, end) in card.training["periods"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BacktestRefused(
            f"The card of {card.version} does not say what it was trained on ({error!r}), so its figures would be no evidence."
        ) from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def features_of(models: Sequence[WhatIfModel], order: Sequence[str]) -> tuple[str, ...]:
    """All that any of them asks for, each once, in the order of the catalogue."""
    asked = {name for model in models for name in model.card.features}
    return tuple(name for name in order if name in asked)


def compare(rows: Rows, candidate: WhatIfModel, champion: WhatIfModel, span: Span) -> Backtest:
    """Both on the rows, scored as served. `BacktestRefused` if there are too few of a kind to say anything."""
    frauds, honest = int(rows.y.sum()), int((rows.y == 0).sum())
    if min(frauds, honest) < LEAST_FRAUDS:
        raise BacktestRefused(
            f"Among the {len(rows)} payments of the period are {frauds} frauds; {LEAST_FRAUDS} of each kind are needed."
        )
    return Backtest(
        data_from=span.since,
        data_until=span.until,
        payments=len(rows),
        frauds=frauds,
        data_sha256=rows.digest,
        candidate=figures_of(rows, candidate),
        champion=figures_of(rows, champion),
    )


def figures_of(rows: Rows, model: WhatIfModel) -> Figures:
    """Of one model, at its own thresholds."""
    scores = scores_as_served(rows, model)
    found: dict[str, Any] = dict(figures(rows, scores, SEED))
    thresholds = model.card.thresholds
    declined = scores >= thresholds.decline
    return Figures(
        version=model.card.version,
        auc=_estimate(found, "auc_roc"),
        average_precision=_estimate(found, "average_precision"),
        card_precision_100=_estimate(found, "card_precision_100"),
        review_rate=float(((scores >= thresholds.review) & ~declined).mean()),
        decline_rate=float(declined.mean()),
    )


def scores_as_served(rows: Rows, model: WhatIfModel) -> NDArray[np.float64]:
    """By the runtime that decides, from the same 32 bits."""
    x = rows.only(model.card.features).x
    parts = [
        np.asarray(model.scores(x[start : start + _ROWS_AT_ONCE].tolist())) for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts)


def _estimate(found: dict[str, Any], name: str) -> Estimate:
    """The percentiles of a bootstrap need not hold the figure itself, where it is about the largest that can be; the interval given does."""
    value = found[name]
    low, high = found[f"{name}_95"]
    return Estimate(value, min(low, value), max(high, value))
