"""The topic: full-size events made from the sample by a seeded generator, written once as ingest writes them."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.producer import KafkaPublisher
from weir_common.kafka.records import (
    ACCEPTED_AT_HEADER,
    EVENT_SUBTYPE_HEADER,
    EVENT_TYPE_HEADER,
    SCHEMA_VERSION_HEADER,
    OutgoingRecord,
    event_headers,
)

from weir_bench.load_generator import TEMPLATE, weights_by_zipf
from weir_bench.peers.programs.work import Sums

TENANTS: Final = 50
PEOPLE: Final = 10_000
TYPES: Final = {
    ("user_interaction", "page_view"): 70,
    ("transaction", "purchase"): 10,
    ("system_event", "sync_completed"): 15,
    ("ml_inference", "score"): 5,
}
"""Type and subtype, with the share in a hundred."""
BEGIN: Final = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTES: Final = 10
LATE_SECONDS: Final = 30.0
"""Events come up to so long after they happened: no framework may rely on their order."""
CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """One event, and what it adds to which cell."""

    record: OutgoingRecord
    tenant: str
    type: str
    minute: int
    cents: int


def events(topic: str, count: int, seed: int = 1) -> Iterator[Made]:
    """``count`` events of ``MINUTES`` minutes; the same ones for the same seed."""
    chance = random.Random(seed)
    parts = _template()
    tenants = [f"merchant_{number:02}" for number in range(TENANTS)]
    weights = weights_by_zipf(TENANTS)
    kinds, shares = list(TYPES), list(TYPES.values())
    for number in range(count):
        tenant = chance.choices(tenants, weights)[0]
        type_, subtype = chance.choices(kinds, shares)[0]
        user = f"user-{chance.randrange(PEOPLE):05}"
        event_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        accepted = BEGIN + timedelta(minutes=MINUTES) * (number / count)
        happened = accepted - timedelta(seconds=chance.uniform(0, LATE_SECONDS))
        cents = chance.randrange(100, 200_000)
        values = {
            "@TENANT@": tenant,
            "@EVENT@": event_id,
            "@TIME@": happened.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "@TYPE@": type_,
            "@SUBTYPE@": subtype,
            "@USER@": user,
            "@TOTAL@": f"{cents / 100:.2f}",
        }
        yield Made(
            record=OutgoingRecord(
                topic=topic,
                key=event_key(TenantId(tenant), SubjectId(user)),
                value="".join(values.get(part, part) for part in parts).encode(),
                partition=partition_of(TenantId(tenant), SubjectId(user)),
                timestamp_ms=int(accepted.timestamp() * 1000),
                headers=event_headers(
                    TenantId(tenant),
                    EventId(event_id),
                    **{
                        EVENT_TYPE_HEADER: type_,
                        EVENT_SUBTYPE_HEADER: subtype,
                        SCHEMA_VERSION_HEADER: "2.1",
                        ACCEPTED_AT_HEADER: accepted.isoformat(),
                    },
                ),
            ),
            tenant=tenant,
            type=type_,
            minute=int(happened.timestamp()) // 60,
            cents=cents,
        )


async def fill(publisher: KafkaPublisher, topic: str, count: int) -> tuple[Sums, int]:
    """Write the events; gives the sums that every program must find, and the bytes of all values."""
    sums: Sums = {}
    size = 0
    made = events(topic, count)
    while chunk := list(islice(made, CHUNK)):
        await publisher.publish_all([one.record for one in chunk], timeout=30)
        for one in chunk:
            assert one.record.value is not None
            size += len(one.record.value)
            found = sums.setdefault((one.tenant, one.type, one.minute), [0, 0])
            found[0] += 1
            found[1] += one.cents
    return sums, size


def _template() -> Sequence[str]:
    """The sample event, cut at what varies: text, name of a value, text, …"""
    document: dict[str, Any] = json.loads(TEMPLATE.read_text())
    document["tenant_id"] = "@TENANT@"
    document["event_metadata"] |= {"event_id": "@EVENT@", "timestamp": "@TIME@"}
    document["event_data"] |= {"event_type": "@TYPE@", "event_subtype": "@SUBTYPE@"}
    user = document["event_data"]["user_context"]
    user |= {"user_id": "@USER@", "anonymous_id": "@USER@"}
    user["session_data"]["session_attributes"]["device_fingerprint"] = "@USER@"
    cart = document["event_data"]["business_context"]["transaction_context"]["cart_context"]
    cart["cart_id"] = "@EVENT@"
    cart["cart_value"]["final_total"] = "@TOTAL@"
    text = json.dumps(document).replace('"@TOTAL@"', "@TOTAL@")
    return [f"@{part}@" if place % 2 else part for place, part in enumerate(text.split("@"))]
