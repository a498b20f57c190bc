"""Requests are counted by tenant, route and status, also those that somebody else answered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from weir_common.ids import TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.metering import RequestMeter
from weir_common.ops import RequestCounts

SHOP = TenantId("shop")


class Publisher:
    def __init__(self) -> None:
        self.records: list[OutgoingRecord] = []

    async def publish_all(self, records: Sequence[OutgoingRecord]) -> None:
        self.records += records


async def test_what_was_answered_elsewhere_is_counted_by_its_status_and_with_no_duration() -> None:
    publisher = Publisher()
    meter = RequestMeter(publisher, "ingest")  # type: ignore[arg-type]
    meter.count(SHOP, "/hot", "POST", 202, 0.01, events=3)
    meter.count_elsewhere(SHOP, "/hot", "POST", 429, 12)
    meter.count_elsewhere(SHOP, "/hot", "POST", 503, 2)
    await meter.report()
    rows = [msgspec.json.decode(record.value, type=RequestCounts) for record in publisher.records]
    by_status: dict[str, int] = {}
    for row in rows:  # two, if a minute ended in between
        for status, number in row.by_status.items():
            by_status[status] = by_status.get(status, 0) + number
    assert by_status == {"202": 1, "429": 12, "503": 2}
    assert (sum(row.total for row in rows), sum(row.events for row in rows)) == (15, 3)
    # As quick as any: over one's quota is left out of what is promised, and not a slow answer.
    assert sum(row.within_5s for row in rows) == 13
    assert sum(sum(row.latency_buckets.values()) for row in rows) == 1
