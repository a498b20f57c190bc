"""Names of unknown fields as a metric may have them: bounded, since a sender can make up as many as he likes."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from typing import Final

import msgspec
from weir_common.ids import TenantId

MAX_PLACES: Final = 100
OTHER: Final = "other"


class Sighting(msgspec.Struct, frozen=True):
    """An unknown field on one day: how many events had it, and when the first and the last came."""

    day: date
    schema_version: str
    field: str
    events: int
    first_seen_at: datetime
    last_seen_at: datetime


class DriftedField(msgspec.Struct, frozen=True):
    """An unknown field over several days."""

    field: str
    schema_version: str
    events: int
    days: int
    first_seen_at: datetime
    last_seen_at: datetime


class DriftPlaces:
    """The first ``MAX_PLACES`` places of each tenant have a name of their own; what comes later is counted together."""

    def __init__(self) -> None:
        self._known: dict[TenantId, set[str]] = defaultdict(set)

    def name(self, tenant_id: TenantId, place: str) -> str:
        """The place, or ``other``."""
        known = self._known[tenant_id]
        if place not in known:
            if len(known) >= MAX_PLACES:
                return OTHER
            known.add(place)
        return place
