"""A model that is asked again about what it was asked before: snapshots that decisions keep.

What features mean by now is of no matter then: their values stand in the snapshot. So here, and only here, a model is opened that was trained on
other feature definitions than this release has, or on features that are no longer defined. All else that `open_model` looks at holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from weir_fraud.adapters.onnx_model import CARD, OnnxModel, open_model
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import RETIRED
from weir_fraud.domain.feature import Feature
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import ModelRefused, Refusal


def open_past_model(files: Mapping[str, bytes], catalogue: Catalogue) -> OnnxModel:
    """As `open_model`, whatever the features mean now. Not to decide by: a vector of today is not what it was trained on."""
    try:
        card = msgspec.json.decode(files[CARD], type=ModelCard)
    except msgspec.DecodeError as error:
        raise ModelRefused(f"{CARD} is no model card of this release ({error}).", Refusal.CARD) from error
    of_today = msgspec.structs.replace(card, features_fingerprint=features_fingerprint())
    return open_model({**files, CARD: msgspec.json.encode(of_today)}, _with_retired(catalogue, card.features))


def _with_retired(catalogue: Catalogue, names: Sequence[str]) -> Catalogue:
    """Names only: nothing is computed by it."""
    return Catalogue({name: catalogue.get(name) or _retired(name) for name in names}, (), {})


def _retired(name: str) -> Feature:
    return Feature(name, "1", "No longer defined", RETIRED, _unknown)


def _unknown(_: Payment, __: Sequence[float]) -> float:
    return math.nan
