"""What a subject's refusals withhold (ADR 21): the consents of an event, and the purposes that ask for them.

Only an explicit ``false`` is a refusal. A consent that is not stated is none: the merchant is controller and said nothing, so the
bases in ``weir_common.events.privacy`` stand as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final


class Consent(StrEnum):
    """What a subject can refuse, as ``privacy_settings`` of the event names it."""

    ANALYTICS = "analytics"
    MARKETING = "marketing"
    TRACKING = "tracking"


class Purpose(StrEnum):
    """What an event is used for. ``weir_common.events.privacy`` says for each field why it may be processed at all."""

    TRADE = "trade"
    """Figures of the trade that name nobody: orders, revenue, refunds. They rest on the contract and on the duty to keep books."""
    SECURITY = "security"
    """Fraud, anomalies, attacks: legitimate interest (GDPR recital 47), and the contract's payment."""
    ACCOUNTABILITY = "accountability"
    """Proof of what was done with the events: ledger, receipts, the archive, counts of what figures leave out."""
    BEHAVIOUR = "behaviour"
    """What people do, each event by itself: page views, loading times, steps of a funnel."""
    PEOPLE = "people"
    """Whoever or whatever device is known again from one event to the next: people, sessions, stitching, cohorts."""
    MARKETING = "marketing"
    """Being addressed: segments and audiences for campaigns."""


Refused = frozenset[Consent]
NOTHING: Final[Refused] = frozenset()

ASKS: Final[Mapping[Purpose, Refused]] = MappingProxyType(
    {
        Purpose.TRADE: NOTHING,
        Purpose.SECURITY: NOTHING,
        Purpose.ACCOUNTABILITY: NOTHING,
        Purpose.BEHAVIOUR: frozenset({Consent.ANALYTICS}),
        Purpose.PEOPLE: frozenset({Consent.ANALYTICS, Consent.TRACKING}),
        Purpose.MARKETING: frozenset({Consent.MARKETING}),
    }
)
"""A purpose may use an event unless one of the consents that it asks for was refused."""


def may_serve(purpose: Purpose, refused: Refused) -> bool:
    """Whether an event with these refusals may be used for it."""
    return ASKS[purpose].isdisjoint(refused)


@lru_cache(maxsize=8)
def withheld(refused: Refused) -> tuple[Purpose, ...]:
    """The purposes that may not use an event with these refusals, in the order of their definition."""
    return tuple(purpose for purpose in Purpose if not may_serve(purpose, refused))


@lru_cache(maxsize=8)
def header_value(refused: Refused) -> str:
    """``analytics,tracking``: for the header, which is left out when nothing is refused."""
    return ",".join(sorted(refused))


@lru_cache(maxsize=64)
def from_header(raw: bytes) -> Refused:
    """The consents that a header names; ``UnicodeDecodeError`` for bytes that are no ASCII.

    A name that is not known here is passed over: no purpose that this reader knows asks for it.
    """
    names = raw.decode("ascii").split(",")
    return frozenset(consent for consent in Consent if consent in names)
