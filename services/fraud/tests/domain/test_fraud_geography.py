import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_common.privacy.coarse_places import CELL_DIAGONAL_KM, coarse
from weir_fraud.domain.geography import EARTH_RADIUS_KM, distance_km, moved_km


def test_known_distances() -> None:
    assert distance_km(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(877.46, abs=0.5)
    assert distance_km(40.7128, -74.006, 51.5074, -0.1278) == pytest.approx(5_570, abs=2)
    assert distance_km(0, 0, 0, 180) == pytest.approx(math.pi * EARTH_RADIUS_KM)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(math.radians(0.2) * EARTH_RADIUS_KM)
    assert distance_km(12.3, 45.6, 12.3, 45.6) == 0


@given(
    latitude=st.floats(-89, 89),
    longitude=st.floats(-179, 179),
    north=st.floats(-1e-6, 1e-6),
    east=st.floats(-1e-6, 1e-6),
)
def test_nobody_moves_by_standing_on_the_border_of_two_cells(
    latitude: float, longitude: float, north: float, east: float
) -> None:
    """A fix that trembles by a decimetre may fall into another cell, also across a corner."""
    here = coarse(latitude), coarse(longitude)
    assert moved_km(*here, coarse(latitude + north), coarse(longitude + east)) == 0
    assert moved_km(*here, here[0] + (0.1 if latitude < 0 else -0.1), here[1] + 0.1) == 0


def test_the_diagonal_is_that_of_the_largest_cell() -> None:
    assert distance_km(0, 0, 0.1, 0.1) < CELL_DIAGONAL_KM < distance_km(0, 0, 0.1, 0.1) + 0.1
    assert moved_km(0, 0, 0.2, 0) == distance_km(0, 0, 0.2, 0)
    assert moved_km(0, 0, 0.1, 0.2) > CELL_DIAGONAL_KM
