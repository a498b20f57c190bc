"""Several boosters that differ by their seed alone, as one whose margin is the mean of theirs.

Which rows and features a tree is grown from, and at how many trees the validation days look best, is partly chance; the mean of some has less of it
(bagging; Breiman, "Bagging predictors", 1996). It stays one model: all their trees, with leaves of a share of the size, so that its margin and its
TreeSHAP contributions are exactly the means of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import lightgbm

from weir_fraud.training.archive.calibration import Calibration, calibrated

_FIRST: Final = "Tree="
_END: Final = "end of trees"
_SIZES: Final = "tree_sizes="


def averaged(boosters: Sequence[lightgbm.Booster]) -> lightgbm.Booster:
    """One booster for some of the same features, in the same order."""
    if len(boosters) == 1:
        return boosters[0]
    shares = [calibrated(booster, Calibration(1 / len(boosters), 0.0)).model_to_string() for booster in boosters]
    start, rest = shares[0].index(_FIRST), shares[0][shares[0].index(_END) :]
    # Without the sizes, which are now others, LightGBM looks for the trees itself.
    head = "".join(line for line in shares[0][:start].splitlines(keepends=True) if not line.startswith(_SIZES))
    trees: list[str] = []
    for text in shares:
        for tree in text[text.index(_FIRST) : text.index(_END)].split(_FIRST)[1:]:
            trees.append(f"{_FIRST}{len(trees)}{tree[tree.index(chr(10)) :]}")
    one = lightgbm.Booster(model_str=head + "".join(trees) + rest)
    if one.num_trees() != sum(booster.num_trees() for booster in boosters):
        raise RuntimeError(f"{one.num_trees()} trees of {len(boosters)} boosters were read again")
    # As it will be loaded, sizes and all.
    return lightgbm.Booster(model_str=one.model_to_string())
