"""A receipt: the proof that an event is on the log, and for what it is not used."""

from __future__ import annotations

from functools import lru_cache

import msgspec
from weir_common.consent import Consent, Purpose, Refused, withheld
from weir_common.ids import SubjectId


class ReceiptConsent(msgspec.Struct, frozen=True):
    """What the subject refused, and the purposes that do not get the event for it."""

    refused: tuple[Consent, ...]
    withheld: tuple[Purpose, ...]


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where and when an event was accepted. ``accepted_at`` is RFC 3339 UTC; ``consent`` is there when something was refused."""

    topic: str
    partition: int
    offset: int
    accepted_at: str
    consent: ReceiptConsent | None = None


@lru_cache(maxsize=8)
def receipt_consent(refused: Refused) -> ReceiptConsent | None:
    """None when nothing was refused."""
    return ReceiptConsent(tuple(sorted(refused)), withheld(refused)) if refused else None


class KeptReceipt(msgspec.Struct, frozen=True):
    """With what its sender is not told: under whose key the event's personal data are sealed. None if there were none."""

    receipt: Receipt
    key_id: SubjectId | None = None
