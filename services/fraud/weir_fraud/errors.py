"""The errors of fraud; each says what the caller must do.

WeirError
 ├─ RetryError
 │   ├─ FeatureStoreUnavailable    Valkey does not answer: nothing is decided
 │   ├─ DecisionStoreUnavailable   PostgreSQL does not answer: the decision is not made, ask again
 │   └─ PolicyStoreUnavailable     PostgreSQL does not say which policy is in force: the decision is not made, ask again
 └─ StopError
     ├─ ModelVersionMissing        the model that made a decision is not kept here: the decision cannot be recomputed
     ├─ PolicyVersionMissing       the policy that a decision names is not kept: the decision cannot be recomputed
     ├─ ModelMissing               there is no usable model: train one (the message has the command)
     └─ ExplanationError           contributions do not add up to the margin, or the two runtimes disagree: no decision may leave
"""

from __future__ import annotations

from weir_common.errors import RetryError, StopError


class FeatureStoreUnavailable(RetryError):
    """Valkey does not answer."""


class DecisionStoreUnavailable(RetryError):
    """PostgreSQL does not answer."""


class PolicyStoreUnavailable(RetryError):
    """PostgreSQL does not say which policy is in force."""


class ModelRefused(StopError):
    """A trained model that must not be used."""


class ModelMissing(StopError):
    """There is no model, or not one that this release can use."""


class ExplanationError(StopError):
    """A score that its explanation does not explain."""


class ModelVersionMissing(StopError):
    """The model of this version is not kept here."""


class PolicyVersionMissing(StopError):
    """The policy of this version is not kept."""
