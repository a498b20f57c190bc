"""How exactly a place stands on the log, for those who round and for those who reckon with what was rounded."""

from __future__ import annotations

from typing import Final

PARTS_OF_A_DEGREE: Final = 10
"""What is coarse is rounded to 0.1 degree, about 11 km."""

CELL_DIAGONAL_KM: Final = 15.8
"""Of a cell of 0.1 by 0.1 degree at the equator, where it is largest. Two places on the log that are not further apart may be
one: each stands for a cell, and neighbouring cells touch."""


def coarse(degrees: float) -> float:
    """As `protect` leaves it in the open."""
    return round(degrees * PARTS_OF_A_DEGREE) / PARTS_OF_A_DEGREE
