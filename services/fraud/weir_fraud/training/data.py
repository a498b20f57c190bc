"""The training set: every payment in the order of its time, with its features as they were at that time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray
from weir_common.privacy.coarse_places import coarse

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import Payment, observation_of
from weir_fraud.training.attacks import Scene, attacks_on
from weir_fraud.training.shop import SHOPS, START, Labelled, payments_of

TRAIN_DAYS: Final = 42
VALIDATION_DAYS: Final = 49
"""Days 0 to 41 train, 42 to 48 set the thresholds, 49 to 55 measure: each later than what it judges."""


@dataclass(frozen=True)
class Part:
    """Rows of one period. `x`: float32 (rows, features), nan where not known; `y`: 1 for fraud."""

    x: NDArray[np.float32]
    y: NDArray[np.int8]
    scenarios: tuple[str, ...]
    tenants: tuple[str, ...]

    def only(self, columns: Sequence[int]) -> Part:
        """The same rows with these columns of `x`."""
        return replace(self, x=np.ascontiguousarray(self.x[:, columns]))


@dataclass(frozen=True)
class TrainingSet:
    """Three periods in order of time, and a digest of all of it."""

    train: Part
    validation: Part
    test: Part
    digest: str

    def only(self, wanted: Sequence[str], names: Sequence[str]) -> TrainingSet:
        """With the wanted ones of the columns `names`."""
        columns = [names.index(name) for name in wanted]
        return replace(
            self,
            train=self.train.only(columns),
            validation=self.validation.only(columns),
            test=self.test.only(columns),
        )


def tells(column: NDArray[np.float32]) -> bool:
    """Whether a feature differs between rows; unknown is a value of its own."""
    return len(np.unique(column)) > 1


def generate(seed: int) -> list[Labelled]:
    """All payments of all shops in order of time, at places as the log has them; the same seed gives the same list."""
    payments: list[Labelled] = []
    for shop, random in zip(SHOPS, np.random.default_rng(seed).spawn(len(SHOPS)), strict=True):
        honest, people = payments_of(shop, random)
        payments += honest
        payments += attacks_on(Scene(shop, people, honest), random)
    payments.sort(key=lambda labelled: (labelled.payment.at, labelled.payment.event_id))
    return [replace(labelled, payment=_at_a_coarse_place(labelled.payment)) for labelled in payments]


def _at_a_coarse_place(payment: Payment) -> Payment:
    if payment.latitude is None or payment.longitude is None:
        return payment
    return replace(payment, latitude=coarse(payment.latitude), longitude=coarse(payment.longitude))


def training_set(payments: list[Labelled], catalogue: Catalogue) -> TrainingSet:
    """Features by the offline computation, point in time: a row knows nothing that came after it."""
    names = catalogue.names()
    histories = {shop.tenant_id: Histories(catalogue.plan) for shop in SHOPS}
    x = np.empty((len(payments), len(names)), dtype=np.float32)
    for row, labelled in enumerate(payments):
        payment = labelled.payment
        snapshot = histories[payment.tenant_id].observe(observation_of(payment))
        x[row] = catalogue.vector(payment, snapshot, names)
    y = np.array([bool(labelled.scenario) for labelled in payments], dtype=np.int8)
    days = np.array([(labelled.payment.at - START) / timedelta(days=1) for labelled in payments])
    first, second = np.searchsorted(days, [TRAIN_DAYS, VALIDATION_DAYS])
    train, validation, test = (
        Part(
            x[rows],
            y[rows],
            tuple(labelled.scenario for labelled in payments[rows]),
            tuple(labelled.payment.tenant_id for labelled in payments[rows]),
        )
        for rows in (slice(0, first), slice(first, second), slice(second, None))
    )
    return TrainingSet(train, validation, test, digest=sha256(x.tobytes() + y.tobytes()).hexdigest())
