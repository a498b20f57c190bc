"""Entries of the books."""

from __future__ import annotations

import msgspec
from weir_common.kafka.records import Record
from weir_common.ledger import Applied, ByConsumer, consumer_record

MINUTE = b"2026-11-25T10:30:59.000001Z"


def record(offset: int, **headers: bytes) -> Record:
    return Record(
        "weir.ingest.events.v2", 0, offset, 0, b"", b"", {f"weir-{name}": value for name, value in headers.items()}
    )


def test_a_record_that_names_no_tenant_does_not_spoil_the_entry_of_the_others() -> None:
    good = record(0, **{"tenant": b"shop", "accepted-at": MINUTE})
    entry = consumer_record("fraud.score", [good], [], [record(1), record(2, **{"accepted-at": MINUTE})])
    assert entry is not None
    decoded = msgspec.json.decode(entry.value or b"", type=ByConsumer)
    assert decoded.rows == [Applied("shop", "2026-11-25T10:30", 1, 0, 0)]
    assert consumer_record("fraud.score", [], [], [record(1)]) is None
