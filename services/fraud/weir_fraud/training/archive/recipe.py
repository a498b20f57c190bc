"""How a model is to be trained: periods, weights, trees. A recipe and the same archive give the same bytes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

_Days = Annotated[int, Meta(ge=1, le=365)]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Rows end `label_delay_days` before `as_of`, so that what is not known to be fraud is likely honest.

    The last days of them test, those before them validate (number of trees, calibration, thresholds), the rest is learnt from. Then the
    model is grown once more from all days, with so many trees, unless `refit` is false.
    """

    as_of: datetime
    """Nothing that became known later is used."""
    days: _Days = 28
    validation_days: _Days = 7
    test_days: _Days = 7
    label_delay_days: Annotated[int, Meta(ge=0, le=90)] = 7
    refit: bool = True
    positive_weight: Annotated[float, Meta(gt=0)] = 1.0
    """Of a fraud against an honest payment; the calibration takes it out of the probabilities again."""
    seed: int = 20260105
    boosters: Annotated[int, Meta(ge=1, le=20)] = 1
    """So many are trained, with seeds that follow each other, and the mean of their margins is the model's: less of it is chance. An explanation costs
    as many times as much."""
    most_trees: Annotated[int, Meta(ge=1, le=2_000)] = 1_000
    patience: Annotated[int, Meta(ge=1)] = 50
    """Trees that may bring no better average precision on the validation days before it ends."""
    enough: Annotated[float, Meta(gt=0, le=1)] = 0.9925
    """Of the best average precision of the validation days: the fewest trees that reach so much of it are taken. Behind them it rises slowly, while the
    order of all other payments (AUC ROC) gets worse, and each tree is a part of what every explanation costs."""
    learning_rate: float = 0.05
    leaves: Annotated[int, Meta(ge=2, le=64)] = 8
    depth: Annotated[int, Meta(ge=1, le=8)] = 3
    honest_reviewed: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    honest_declined: Annotated[float, Meta(gt=0, lt=1)] = 0.0005

    def __post_init__(self) -> None:
        if self.validation_days + self.test_days >= self.days:
            raise ValueError(
                f"{self.validation_days} days that validate and {self.test_days} that test leave none of {self.days} to learn from"
            )

    @property
    def until(self) -> datetime:
        """The end of the rows."""
        return self.as_of - timedelta(days=self.label_delay_days)

    @property
    def since(self) -> datetime:
        return self.until - timedelta(days=self.days)

    @property
    def test_since(self) -> datetime:
        return self.until - timedelta(days=self.test_days)

    @property
    def validation_since(self) -> datetime:
        return self.test_since - timedelta(days=self.validation_days)

    @property
    def seeds(self) -> range:
        """One a booster."""
        return range(self.seed, self.seed + self.boosters)

    def parameters(self, monotone: list[int], seed: int) -> dict[str, Any]:
        """LightGBM's, of one booster."""
        return {
            "objective": "binary",
            "metric": "average_precision",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "min_data_in_leaf": 30,
            "lambda_l2": 5.0,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "scale_pos_weight": self.positive_weight,
            "monotone_constraints": monotone,
            "deterministic": True,
            "force_row_wise": True,
            # A mesh runs beside it: two threads that wait for each other took three times as long there as one.
            "num_threads": 1,
            "verbose": -1,
            "seed": seed,
        }
