"""The errors of fraud; each says what the caller must do.

WeirError
 ├─ RetryError
 │   ├─ FeatureStoreUnavailable    Valkey does not answer: who waits is answered without the histories, the stream asks again
 │   ├─ DecisionStoreUnavailable   PostgreSQL does not answer: the decision is not made, ask again
 │   ├─ PolicyStoreUnavailable     PostgreSQL does not say which policy is in force: the decision is not made, ask again
 │   ├─ ModelRegistryUnavailable   PostgreSQL does not say which model is in force, or takes no change
 │   └─ ModelFilesUnavailable      the object storage does not answer: what is loaded goes on
 └─ StopError
     ├─ BacktestRefused            two models cannot be compared on a period, or what came of it is no evidence
     ├─ ModelRefused               a model that must not be used, with the reason: the one before it goes on
     ├─ ModelVersionMissing        the model that made a decision is not kept here: the decision cannot be recomputed
     ├─ PolicyVersionMissing       the policy that a decision names is not kept: the decision cannot be recomputed
     ├─ ModelMissing               there is no usable model: train one (the message has the command)
     └─ ExplanationError           contributions do not add up to the margin, or the two runtimes disagree: no decision may leave
"""

from __future__ import annotations

from enum import StrEnum

from weir_common.errors import RetryError, StopError


class FeatureStoreUnavailable(RetryError):
    """Valkey does not answer."""


class DecisionStoreUnavailable(RetryError):
    """PostgreSQL does not answer."""


class PolicyStoreUnavailable(RetryError):
    """PostgreSQL does not say which policy is in force."""


class ModelRegistryUnavailable(RetryError):
    """PostgreSQL does not answer for the registry."""


class ModelFilesUnavailable(RetryError):
    """The object storage does not answer."""


class ArchiveUnavailable(RetryError):
    """The archive does not answer, or is not there yet."""


class Refusal(StrEnum):
    """Why a model is refused, in a word; a metric counts by it."""

    MISSING = "missing"
    """A file is not there."""
    HASH = "hash"
    """A file is not the one that was registered, or that the card describes."""
    CARD = "card"
    """The card is not one of this release."""
    FEATURES = "features"
    """It takes features that this release does not have, or defines otherwise."""
    UNREADABLE = "unreadable"
    """A runtime does not take it."""
    EXPLANATION = "explanation"
    """Its explanations do not add up, or its two forms disagree."""
    TRAINING = "training"
    """What the training made is not good enough."""


class ModelRefused(StopError):
    """A trained model that must not be used."""

    def __init__(self, message: str, reason: Refusal = Refusal.TRAINING) -> None:
        super().__init__(message)
        self.reason = reason


class BacktestRefused(StopError):
    """Two models cannot be compared on a period, or what came of it is no evidence."""


class ModelMissing(StopError):
    """There is no model, or not one that this release can use."""


class ExplanationError(StopError):
    """A score that its explanation does not explain."""


class ModelVersionMissing(StopError):
    """The model of this version is not kept here."""


class PolicyVersionMissing(StopError):
    """The policy of this version is not kept."""
