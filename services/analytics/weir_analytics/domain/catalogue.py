"""The catalogue of metrics, found by looking into the folder: a new file is all that a new metric needs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weir_analytics.domain import metrics
from weir_analytics.domain.left_out import LEFT_OUT
from weir_analytics.domain.metric import AnyMetric


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every metric by name, and every metric by the kind of fact that it counts."""

    by_name: Mapping[str, AnyMetric]
    by_fact: Mapping[type, tuple[AnyMetric, ...]]

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
    found[LEFT_OUT.name] = LEFT_OUT
    by_fact: dict[type, tuple[AnyMetric, ...]] = {}
    for metric in found.values():
        by_fact[metric.fact] = (*by_fact.get(metric.fact, ()), metric)
    return Catalogue(found, by_fact)
