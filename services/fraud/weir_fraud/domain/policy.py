"""A tenant's policy above the model's score: thresholds, lists and rules, in versions that never change once they are approved.

Values of people and their things stand here protected, as the payments have them; how they come to be so is `protect_lists`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from weir_fraud.domain.decline_corridor import DeclineCorridor
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment

NO_POLICY: Final = 0
"""The version of a tenant that has none: the model's own thresholds decide."""

MAX_RULES: Final = 50
MAX_ENTRIES: Final = 10_000
"""Of both lists together."""
MAX_EXPRESSION_CHARACTERS: Final = 1_000
MAX_EXPRESSIONS_CHARACTERS: Final = 10_000
"""Of all rules together: what the worst of them can cost a payment goes by their length, 33 µs for 1,000 (ADR 23)."""
MAX_REASON_CHARACTERS: Final = 200


class EntityKind(StrEnum):
    """What a list names. `country` is where the payment is made; rules see the others."""

    USER = "user"
    VISITOR = "visitor"
    DEVICE = "device"
    PAYMENT_TOKEN = "payment_token"  # noqa: S105 - the kind's name
    COUNTRY = "country"


class ListKind(StrEnum):
    """Which list."""

    DENY = "deny"
    ALLOW = "allow"


class Entity(msgspec.Struct, frozen=True):
    """One of a payment, or one that a list names; `value` is protected."""

    kind: EntityKind
    value: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entity of a list. `protected`: all values by which payments may have it (a link token changes with its key's period).

    `recognised_until`: when the last of these keys' periods ends; later nobody can tell that a payment has it. `expires_at` is not later.
    """

    kind: EntityKind
    protected: tuple[str, ...]
    reason: str
    expires_at: datetime | None = None
    recognised_until: datetime | None = None

    def is_in_force(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`expression` is CEL over one payment (`adapters/cel_conditions.py` declares what it sees)."""

    name: str
    expression: str
    action: Outcome
    reason: str
    enabled: bool = True
    override: bool = False
    """Of `approve` only: it may also let through what would be declined."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document."""

    thresholds: Thresholds | None = None
    """Instead of the model's."""
    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()
    rules: tuple[Rule, ...] = ()
    """In order: the first that matches decides."""
    decline_corridor: DeclineCorridor | None = None
    """Instead of that of the settings."""


NOTHING: Final = Policy()


class VersionState(StrEnum):
    """`proposed` → `active` → `superseded`, or `proposed` → `rejected`."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version. `makers`: everybody who wrote on the draft since the last submission, and who submitted it; none of them may approve it."""

    version: int
    state: VersionState
    makers: tuple[str, ...]
    note: str
    submitted_at: datetime
    restores: int | None = None
    """The earlier version that this one brings back."""
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_note: str | None = None
    policy: Policy = NOTHING


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What the tenant's people are writing. `revision` counts its changes, so that what is submitted is what somebody saw."""

    policy: Policy
    revision: int
    editors: tuple[str, ...]
    edited_at: datetime


def entities_of(payment: Payment) -> tuple[Entity, ...]:
    """Whom and what a payment names, protected."""
    values = (
        (EntityKind.USER, payment.user_id),
        (EntityKind.VISITOR, payment.anonymous_id),
        (EntityKind.DEVICE, payment.device),
        (EntityKind.PAYMENT_TOKEN, payment.payment_token),
        (EntityKind.COUNTRY, payment.country),
    )
    return tuple(Entity(kind, value) for kind, value in values if value)
