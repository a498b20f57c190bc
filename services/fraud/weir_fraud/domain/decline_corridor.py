"""The corridor in which a tenant's share of declines must stay, and what is done with a decline once it was left.

A model that went wrong, a rule that matches everybody or a broken feature declines customers by the thousand before a person looks. So above
the ceiling declines are halted: what would be declined is held for a person instead. Never approved: the share also rises when
real fraud comes in a wave, and an attack must not switch off its own defence.

The deny list is left out on both sides. Its entries name one person or thing each, by hand, so it has no radius to limit; it stays in
force during a halt. Were it counted, somebody on it could try again until the tenant's other declines are halted. Rules are halted like the
model: an expression may match everybody.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from weir_common.ids import TenantId

from weir_fraud.domain.outcome import Outcome

MAX_WINDOW_MINUTES: Final = 1_440
_DENY_LIST: Final = "deny:"


class DeclineCorridor(msgspec.Struct, frozen=True, kw_only=True):
    """Of one tenant, from its policy or from the settings."""

    window_minutes: int
    """The present minute is one of them."""
    least_decisions: int
    """With fewer in the window nothing is said of their share."""
    ceiling: float
    """A share above it halts; one at it does not."""
    floor: float = 0.0
    """A share below it is a warning: there is nothing that could be halted."""


class Counted(NamedTuple):
    """Decisions that a halt could change, and how many of them declined, or would have during a halt."""

    decisions: int
    declines: int

    @property
    def share(self) -> float | None:
        return self.declines / self.decisions if self.decisions else None


class Position(StrEnum):
    """Where a share stands to its corridor."""

    TOO_FEW = "too_few"
    INSIDE = "inside"
    ABOVE = "above"
    BELOW = "below"


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """From the moment that the corridor was left until a person lifted it."""

    tenant_id: TenantId
    halted_at: datetime
    decisions: int
    declines: int
    """What was counted then."""
    corridor: DeclineCorridor
    policy_version: int
    """Whose corridor it was; 0: that of the settings, in a tenant without a policy."""
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    note: str | None = None


def position_of(corridor: DeclineCorridor, counted: Counted) -> Position:
    """A share that equals a bound is inside. The quotient is the double nearest to the share, as is a bound that was written as one."""
    share = counted.share
    if share is None or counted.decisions < corridor.least_decisions:
        return Position.TOO_FEW
    if share > corridor.ceiling:
        return Position.ABOVE
    return Position.BELOW if share < corridor.floor else Position.INSIDE


def is_by_deny_list(policy_rule: str | None) -> bool:
    """Names of rules have no colon."""
    return policy_rule is not None and policy_rule.startswith(_DENY_LIST)


def after_halt(outcome: Outcome, policy_rule: str | None, halted: bool) -> tuple[Outcome, bool]:
    """The outcome while declines are halted or not, and whether the halt changed it."""
    if halted and outcome is Outcome.DECLINE and not is_by_deny_list(policy_rule):
        return Outcome.REVIEW, True
    return outcome, False
