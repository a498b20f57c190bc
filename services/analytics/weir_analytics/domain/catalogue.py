"""The catalogue of metrics, found by looking into the folder: a new file is all that a new metric needs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations

from weir_common.consent import Consent, Refused, may_serve

from weir_analytics.domain import metrics
from weir_analytics.domain.left_out import LEFT_OUT
from weir_analytics.domain.metric import AnyMetric


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every metric by name, and by the kind of fact that it counts and what the fact's subject may have refused."""

    by_name: Mapping[str, AnyMetric]
    by_fact: Mapping[tuple[type, Refused], tuple[AnyMetric, ...]]

    def __iter__(self) -> Iterator[AnyMetric]:
        """The published metrics in the order of their names, without the bookkeeping of what was left out."""
        return (metric for metric in self.by_name.values() if metric is not LEFT_OUT)

    def __getitem__(self, name: str) -> AnyMetric:
        return self.by_name[name]

    def get(self, name: str) -> AnyMetric | None:
        """None for rollups of a metric that is no longer defined."""
        return self.by_name.get(name)


def load_catalogue() -> Catalogue:
    """Import every module of the folder; each defines `METRIC`, named as its file."""
    found: dict[str, AnyMetric] = {}
    for module in sorted(pkgutil.iter_modules(metrics.__path__), key=lambda module: module.name):
        metric = importlib.import_module(f"{metrics.__name__}.{module.name}").METRIC
        if metric.name != module.name:
            raise ValueError(f"{module.name}.py defines {metric.name}: a metric is found by its name")
        found[metric.name] = metric
    return catalogue_of([*found.values(), LEFT_OUT])


def catalogue_of(several: Collection[AnyMetric]) -> Catalogue:
    """Of these metrics."""
    return Catalogue({metric.name: metric for metric in several}, _by_fact(several))


def _by_fact(metrics_: Collection[AnyMetric]) -> dict[tuple[type, Refused], tuple[AnyMetric, ...]]:
    """Worked out for every set of refusals there can be, so that counting a fact is one look-up."""
    refusals = chain.from_iterable(combinations(Consent, size) for size in range(len(Consent) + 1))
    return {
        (fact, frozenset(refused)): tuple(
            metric for metric in metrics_ if metric.fact is fact and may_serve(metric.purpose, frozenset(refused))
        )
        for refused in refusals
        for fact in {metric.fact for metric in metrics_}
    }
