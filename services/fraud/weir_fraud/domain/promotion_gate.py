"""Whether a version may decide: every check of one gate, each with what was found and what is asked for.

Lower ends of intervals are compared, not the figures themselves: on the same rows both intervals are about equally wide, so little data lowers
both, and a version that is better by luck on few frauds has a low one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from weir_fraud.domain.model_stage import ModelChange, Stage
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.shadow_report import shadow_report

GATED: Final = frozenset({Stage.CHALLENGER, Stage.CHAMPION})
"""Stages at which a version decides. A challenger decides for tenants that are given it, so it needs no shadow of all traffic before."""
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one model on the rows of a backtest. Rates are shares of all payments."""

    version: str
    auc: Estimate
    average_precision: Estimate
    card_precision_100: Estimate
    review_rate: float
    decline_rate: float


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """A version and the champion of then on the same archived payments."""

    data_from: datetime
    data_until: datetime
    payments: int
    frauds: int
    """Labelled as such, known for as long as the label delay asks."""
    data_sha256: str
    candidate: Figures
    champion: Figures


class StoredBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """As it was recorded."""

    number: int
    backtest: Backtest
    recorded_at: datetime
    recorded_by: str


class GateBounds(NamedTuple):
    """What the gate asks for."""

    backtest_least_payments: int
    backtest_least_frauds: int
    backtest_most_days: float
    """How old its data may be."""
    most_loss: float
    """By how much a lower end may be below the champion's."""
    shadow_least_decisions: int
    shadow_least_hours: float
    reviews_per_day: float
    decline_rate: float


class Evidence(NamedTuple):
    """What is known of a version. `shadowed`: decisions by the champion, by what was decided and what the version would have decided."""

    version: str
    champion: str | None
    backtest: StoredBacktest | None
    """The newest against the present champion."""
    shadowed: Mapping[tuple[Outcome, Outcome], int]
    shadow_time: timedelta


class Check(msgspec.Struct, frozen=True):
    """`value` None: not known, which does not pass."""

    name: str
    value: float | None
    bound: float
    passed: bool


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one move. Without a champion there are none: the first one replaces nobody, and until it is there nothing that is registered decides."""

    version: str
    stage: Stage
    champion: str | None
    checks: tuple[Check, ...]
    backtest: int | None = None
    """Its number."""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


class GateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a gate with the move that it allowed. `override`: why the move was made although not all checks passed."""

    champion: str | None
    checks: tuple[Check, ...]
    backtest: int | None = None
    override: str | None = None
    overridden_by: str | None = None


def gate(evidence: Evidence, to: Stage, bounds: GateBounds, now: datetime) -> Gate:
    """All checks of a move to a stage, passed or not."""
    checks: list[Check] = []
    if evidence.champion not in (None, evidence.version) and to in GATED:
        checks += of_backtest(None if evidence.backtest is None else evidence.backtest.backtest, bounds, now)
        if to is Stage.CHAMPION:
            checks += of_shadow(evidence.shadowed, evidence.shadow_time, bounds)
    return Gate(
        version=evidence.version,
        stage=to,
        champion=evidence.champion,
        checks=tuple(checks),
        backtest=None if evidence.backtest is None else evidence.backtest.number,
    )


def of_backtest(one: Backtest | None, bounds: GateBounds, now: datetime) -> Iterator[Check]:
    """Of archived traffic; also before the backtest is recorded."""
    yield _at_least("backtest_payments", None if one is None else one.payments, bounds.backtest_least_payments)
    yield _at_least("backtest_frauds", None if one is None else one.frauds, bounds.backtest_least_frauds)
    age = None if one is None else (now - one.data_until) / _DAY
    yield _at_most("backtest_age_days", age, bounds.backtest_most_days)
    for name in ("auc", "average_precision", "card_precision_100"):
        low = None if one is None else getattr(one.candidate, name).low
        # Without a backtest there is no figure of the champion either: nothing passes.
        least = 1.0 if one is None else getattr(one.champion, name).low - bounds.most_loss
        yield _at_least(f"{name}_low", low, least)
    yield _at_most("backtest_decline_rate", None if one is None else one.candidate.decline_rate, bounds.decline_rate)


def of_shadow(shadowed: Mapping[tuple[Outcome, Outcome], int], time: timedelta, bounds: GateBounds) -> Iterator[Check]:
    """Of live traffic; also of one tenant's."""
    report = shadow_report(shadowed)
    yield _at_least("shadow_decisions", report.payments, bounds.shadow_least_decisions)
    yield _at_least("shadow_hours", time / _HOUR, bounds.shadow_least_hours)
    reviews = None
    if report.would_review_rate is not None and time > timedelta(0):
        reviews = report.would_review_rate * report.payments / (time / _DAY)
    yield _at_most("reviews_per_day", reviews, bounds.reviews_per_day)
    yield _at_most("shadow_decline_rate", report.would_decline_rate, bounds.decline_rate)


def shadow_time(changes: Sequence[ModelChange], since: datetime, now: datetime) -> timedelta:
    """How long a version was the shadow from `since` on; `changes` are its moves, in any order."""
    total, began = timedelta(0), None
    for change in sorted(changes, key=lambda one: one.changed_at):
        if change.stage_before is Stage.SHADOW and began is not None:
            total += max(change.changed_at - max(began, since), timedelta(0))
            began = None
        if change.stage_after is Stage.SHADOW:
            began = change.changed_at
    if began is not None:
        total += max(now - max(began, since), timedelta(0))
    return total


def _at_least(name: str, value: float | None, bound: float) -> Check:
    return Check(name, value, bound, value is not None and value >= bound)


def _at_most(name: str, value: float | None, bound: float) -> Check:
    return Check(name, value, bound, value is not None and value <= bound)
