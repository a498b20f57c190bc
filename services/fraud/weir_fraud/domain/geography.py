"""Distances on the earth."""

from __future__ import annotations

import math
from typing import Final

from weir_common.privacy.coarse_places import CELL_DIAGONAL_KM

EARTH_RADIUS_KM: Final = 6371.0088
"""Mean radius R₁ of the GRS 80 ellipsoid (IUGG)."""


def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance of two places in degrees, by the haversine formula; on a sphere, within 0.5 % of the ellipsoid."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half_phi = (other_phi - phi) / 2
    half_lambda = math.radians(other_longitude - longitude) / 2
    square = math.sin(half_phi) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, square)))


def moved_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The distance of two places that are rounded to 0.1 degree; 0 if they may be the same one, in neighbouring cells."""
    distance = distance_km(latitude, longitude, other_latitude, other_longitude)
    return 0.0 if distance < CELL_DIAGONAL_KM else distance
