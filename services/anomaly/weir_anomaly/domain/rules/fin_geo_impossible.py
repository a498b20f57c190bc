"""``fin.geo_impossible``: two places that no one can travel between (catalogue rule 2).

The distance is a lower bound: great-circle distance less 1.64 times both radii, since a reported radius holds the device with
67 % and 1.64 of it with 95 %, and less the diagonal of a cell, since places on the log are rounded to 0.1 degree. The time gets
half an hour, since fixes are not exact to the minute.

Left for later: home places (a family in two cities), learnt from 30 days of fixes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from weir_common.privacy.coarse_places import CELL_DIAGONAL_KM

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event, instant
from weir_anomaly.domain.rule import Hit, Observation, Rule, State
from weir_anomaly.domain.severity import Severity
from weir_anomaly.domain.storable import hash64

EARTH_KM: Final = 6371.0088
SPEED_KMH: Final = 900.0
DISTANCE_KM: Final = 300.0
GRACE_HOURS: Final = 0.5
RADIUS_FACTOR: Final = 1.64
MOBILE_FLOOR_KM: Final = 100.0
UNKNOWN_RADIUS_KM: Final = 25.0
CLOCK_SKEW_SECONDS: Final = 300.0
_MAX_FIXES: Final = 5
_UNTRUSTED: Final = frozenset({"vpn", "relay", "tor", "satellite", "hosting"})


class Fix(State, frozen=True):
    """Where a user was. ``radius`` in kilometres."""

    at: float
    lat: float
    lon: float
    radius: float
    device: int
    country: str


class GeoState(State, frozen=True):
    """The last five trusted fixes, ascending by time."""

    fixes: tuple[Fix, ...] = ()


class GeoImpossible(Rule):
    """See the module."""

    name = "fin.geo_impossible"
    version = 2
    family = "financial"
    title = "Two places no one can travel between"
    decides = (
        "Two fixes of one user lie at least 300 km apart (less their radii and the rounding of places) and would need more than 900 km/h, "
        "half an hour granted."
    )
    wakes = frozenset(
        {
            ("user_interaction", "login_succeeded"),
            ("user_interaction", "credential_changed"),
            ("transaction", "purchase"),
        }
    )
    entity_kinds = ("user",)
    state_type = GeoState
    state_version = 1
    state_seconds = 3 * 86_400.0
    quiet_seconds = 6 * 3_600.0
    rest_seconds = 6 * 3_600.0

    def entities(self, event: Event) -> Sequence[Entity]:
        """Only users with a trusted fix; a server's call carries the server's place."""
        if event.user is None or event.source in ("api", "batch_import") or _fix(event) is None:
            return ()
        if event.sent_at is not None and event.at > event.sent_at + CLOCK_SKEW_SECONDS:
            return ()
        return (entity("user", event.user),)

    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """Compare with the neighbours in time, before and after: a late fix has both."""
        known: GeoState = states[0] if states[0] is not None else GeoState()
        new = _fix(event)
        if new is None:
            return states, ()
        hits = [
            hit
            for other in _neighbours(known.fixes, new.at)
            if (hit := _judge(other, new, event, self.entities(event)[0])) is not None
        ]
        fixes = tuple(sorted((*known.fixes, new), key=lambda fix: fix.at))[-_MAX_FIXES:]
        return (GeoState(fixes),), hits[:1]


def _fix(event: Event) -> Fix | None:
    place = event.geolocation
    if place is None or place.coordinates is None or event.network_kind in _UNTRUSTED:
        return None
    radius = UNKNOWN_RADIUS_KM if place.accuracy_meters is None else max(0.0, place.accuracy_meters / 1000)
    agent = event.user_agent
    mobile = agent is not None and agent.device is not None and agent.device.type == "mobile"
    if place.ip_derived and (mobile or event.network_kind == "mobile"):
        # Carriers hand out addresses of other cities.
        radius = max(radius, MOBILE_FLOOR_KM)
    return Fix(
        event.at, place.coordinates.lat, place.coordinates.lon, radius, hash64(event.device or ""), place.country or ""
    )


def _neighbours(fixes: Sequence[Fix], at: float) -> list[Fix]:
    before = [fix for fix in fixes if fix.at <= at]
    after = [fix for fix in fixes if fix.at > at]
    return [*before[-1:], *after[:1]]


def distance_km(one: Fix, other: Fix) -> float:
    """Great circle by the haversine formula."""
    phi1, phi2 = math.radians(one.lat), math.radians(other.lat)
    a = (
        math.sin((phi2 - phi1) / 2) ** 2
        + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(other.lon - one.lon) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(a)))


def _judge(one: Fix, new: Fix, event: Event, key: Entity) -> Hit | None:
    distance = distance_km(one, new)
    bound = max(0.0, distance - RADIUS_FACTOR * (one.radius + new.radius) - CELL_DIAGONAL_KM)
    hours = abs(new.at - one.at) / 3600
    speed = bound / (hours + GRACE_HOURS)
    if speed <= SPEED_KMH or bound < DISTANCE_KM:
        return None
    same_device = one.device == new.device
    if same_device:
        severity = Severity.LOW
    elif event.network_kind is None:
        severity = Severity.MEDIUM  # without the kind of network a VPN cannot be told from a thief
    else:
        severity = Severity.HIGH if event.subtype in ("purchase", "credential_changed") else Severity.MEDIUM
    needed = bound / SPEED_KMH - GRACE_HOURS
    return Hit(
        entity=key,
        severity=severity,
        window_start=min(one.at, new.at),
        window_end=max(one.at, new.at),
        observed=round(speed, 1),
        expected=SPEED_KMH,
        unit="km/h",
        score=speed / SPEED_KMH,
        threshold=1.0,
        layer="entity",
        cleared_by=f"{needed:.1f} h between the two fixes (there were {hours:.1f} h), or the same network by VPN",
        evidence={
            "distance_km": round(distance, 1),
            "distance_lower_bound_km": round(bound, 1),
            "hours": round(hours, 3),
            "same_device": same_device,
            "network_kind": event.network_kind,
            "fixes": [
                {
                    "at": instant(fix.at).isoformat(),
                    "lat": round(fix.lat, 3),
                    "lon": round(fix.lon, 3),
                    "radius_km": round(fix.radius, 1),
                    "country": fix.country,
                }
                for fix in sorted((one, new), key=lambda fix: fix.at)
            ],
        },
    )
