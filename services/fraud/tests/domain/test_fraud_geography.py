import math

import pytest
from weir_fraud.domain.geography import EARTH_RADIUS_KM, distance_km


def test_known_distances() -> None:
    assert distance_km(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(877.46, abs=0.5)
    assert distance_km(40.7128, -74.006, 51.5074, -0.1278) == pytest.approx(5_570, abs=2)
    assert distance_km(0, 0, 0, 180) == pytest.approx(math.pi * EARTH_RADIUS_KM)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(math.radians(0.2) * EARTH_RADIUS_KM)
    assert distance_km(12.3, 45.6, 12.3, 45.6) == 0
