"""Every feature by name, and the aggregates that they need together: the plan of one round trip."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weir_fraud.domain import features
from weir_fraud.domain.aggregate import Aggregate
from weir_fraud.domain.feature import Feature
from weir_fraud.domain.payment import Payment


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Features in the order of their names; `plan` holds each aggregate once."""

    features: Mapping[str, Feature]
    plan: tuple[Aggregate, ...]
    places: Mapping[str, tuple[int, ...]]
    """Of each feature, where its aggregates stand in the plan."""

    def __getitem__(self, name: str) -> Feature:
        return self.features[name]

    def get(self, name: str) -> Feature | None:
        """None for a feature that is no longer defined, of an old decision."""
        return self.features.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self.features)

    def vector(self, payment: Payment, aggregates: Sequence[float], names: Sequence[str]) -> list[float]:
        """The values of `names`, from the values of the plan; nan where a value is not known."""
        values = []
        for name in names:
            feature = self.features[name]
            value = feature.compute(payment, [aggregates[place] for place in self.places[name]])
            if value != value:
                value = feature.default
            if math.isinf(value):
                raise ValueError(f"{name} is not finite")
            values.append(value)
        return values


def load_catalogue() -> Catalogue:
    """Look into the folder: each module defines `FEATURES`, whose names begin with the name of the file."""
    found: dict[str, Feature] = {}
    for module in sorted(pkgutil.iter_modules(features.__path__), key=lambda module: module.name):
        for feature in importlib.import_module(f"{features.__name__}.{module.name}").FEATURES:
            if not feature.name.startswith(module.name):
                raise ValueError(f"{module.name}.py defines {feature.name}: a feature is found by its name")
            if feature.name in found:
                raise ValueError(f"{feature.name} is defined twice")
            found[feature.name] = feature
    return catalogue_of(found.values())


def catalogue_of(chosen: Iterable[Feature]) -> Catalogue:
    """A catalogue of these features only."""
    by_name = {feature.name: feature for feature in chosen}
    by_name = dict(sorted(by_name.items()))
    plan = tuple(dict.fromkeys(aggregate for feature in by_name.values() for aggregate in feature.aggregates))
    index = {aggregate: place for place, aggregate in enumerate(plan)}
    places = {name: tuple(index[aggregate] for aggregate in feature.aggregates) for name, feature in by_name.items()}
    return Catalogue(by_name, plan, places)
