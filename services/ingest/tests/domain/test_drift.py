"""As many places as a metric can bear, and the rest together."""

from __future__ import annotations

from weir_common.ids import TenantId
from weir_ingest.domain.drift import MAX_PLACES, OTHER, DriftPlaces


def test_a_tenant_that_makes_up_names_does_not_make_as_many_time_series() -> None:
    places = DriftPlaces()
    names = {places.name(TenantId("a"), f"/made_up_{number}") for number in range(MAX_PLACES * 2)}
    assert len(names) == MAX_PLACES + 1
    assert places.name(TenantId("a"), "/made_up_0") == "/made_up_0"
    assert places.name(TenantId("a"), "/new") == OTHER
    assert places.name(TenantId("b"), "/new") == "/new"
