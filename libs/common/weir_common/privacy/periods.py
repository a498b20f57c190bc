"""How long keys are used, in whole periods since 1970: weeks for the tenants' keys, quarters for tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

EPOCH_DAYS: Final = 7
EPOCHS_KEPT: Final = 2
"""A tenant's key is destroyed this many epochs after its own: everything is re-wrapped long before."""

TOKEN_PERIOD_DAYS: Final = 90
_SECONDS_A_DAY: Final = 86_400


def epoch_of(now: datetime) -> int:
    """The number of the week."""
    return int(now.timestamp()) // (EPOCH_DAYS * _SECONDS_A_DAY)


def token_period_of(now: datetime) -> int:
    """The number of the 90 days."""
    return int(now.timestamp()) // (TOKEN_PERIOD_DAYS * _SECONDS_A_DAY)


def token_period_begins(period: int) -> datetime:
    """The first instant of the 90 days."""
    return datetime.fromtimestamp(period * TOKEN_PERIOD_DAYS * _SECONDS_A_DAY, UTC)


def day_of(now: datetime) -> int:
    """The number of the day."""
    return int(now.timestamp()) // _SECONDS_A_DAY
