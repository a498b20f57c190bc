"""Every feature by name, and the aggregates that they need together: the plan of one round trip."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from weir_fraud.domain import features
from weir_fraud.domain.aggregate import Aggregate
from weir_fraud.domain.feature import Compute, Feature, the_aggregate
from weir_fraud.domain.payment import Payment

_MODELS: Final = 256
"""For so many different inputs of models it is remembered how they are read."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a model's inputs are read. Of each what computes it, None where it is an aggregate itself; where that stands; else what it takes."""

    steps: tuple[tuple[Compute | None, int, Callable[[Sequence[float]], Any]], ...]
    defaults: tuple[tuple[int, float], ...]
    """Where something else than nan stands for what is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Features in the order of their names; `plan` holds each aggregate once."""

    features: Mapping[str, Feature]
    plan: tuple[Aggregate, ...]
    places: Mapping[str, tuple[int, ...]]
    """Of each feature, where its aggregates stand in the plan."""
    _readings: dict[Sequence[str], _Reading] = field(default_factory=dict, init=False, repr=False)

    def __getitem__(self, name: str) -> Feature:
        return self.features[name]

    def get(self, name: str) -> Feature | None:
        """None for a feature that is no longer defined, of an old decision."""
        return self.features.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self.features)

    def vector(self, payment: Payment, aggregates: Sequence[float], names: Sequence[str]) -> list[float]:
        """The values of `names`, from the values of the plan; nan where a value is not known."""
        reading = self._readings.get(names) if isinstance(names, tuple) else None
        if reading is None:
            reading = self._reading(tuple(names))
        values: list[float] = [
            aggregates[place] if compute is None else compute(payment, take(aggregates))
            for compute, place, take in reading.steps
        ]
        for place, default in reading.defaults:
            if values[place] != values[place]:
                values[place] = default
        if math.inf in values or -math.inf in values:
            infinite = next(name for name, value in zip(names, values, strict=True) if math.isinf(value))
            raise ValueError(f"{infinite} is not finite")
        return values

    def _reading(self, names: tuple[str, ...]) -> _Reading:
        chosen = [self.features[name] for name in names]
        reading = _Reading(
            tuple(_step(one, self.places[one.name]) for one in chosen),
            tuple((place, one.default) for place, one in enumerate(chosen) if one.default == one.default),
        )
        if len(self._readings) >= _MODELS:
            self._readings.clear()
        self._readings[names] = reading
        return reading


def _step(feature: Feature, places: tuple[int, ...]) -> tuple[Compute | None, int, Callable[[Sequence[float]], Any]]:
    match places:
        case ():
            return feature.compute, 0, _nothing
        case (place,):
            return (
                None if feature.compute is the_aggregate else feature.compute,
                place,
                itemgetter(slice(place, place + 1)),
            )
        case _:
            return feature.compute, 0, itemgetter(*places)


def _nothing(_: Sequence[float]) -> tuple[()]:
    return ()


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
