"""The duplicate window forgets by age and tells tenants apart."""

from __future__ import annotations

from weir_common.kafka.records import EVENT_ID_HEADER, TENANT_HEADER, Record
from weir_common.kafka.window import DuplicateWindow, id64


def record(tenant: str, event: str) -> Record:
    headers = {TENANT_HEADER: tenant.encode(), EVENT_ID_HEADER: event.encode()}
    return Record("t", 0, 0, 0, b"", b"", headers)


def test_the_same_event_of_another_tenant_is_another_event() -> None:
    assert id64(record("a", "1")) != id64(record("b", "1"))
    # The separator keeps (ab, c) and (a, bc) apart.
    assert id64(record("ab", "c")) != id64(record("a", "bc"))


def test_ids_age_out_in_batches() -> None:
    window = DuplicateWindow(seconds=10)
    first, second = id64(record("a", "1")), id64(record("a", "2"))
    window.add(first, now=0)
    window.add(second, now=9)
    assert first in window
    assert second in window
    window.add(b"", now=11)
    assert first not in window
    assert second in window
    assert len(window) == 1
