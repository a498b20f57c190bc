"""What is written, and what every program makes of it."""

from __future__ import annotations

from itertools import islice

from weir_bench.peers.programs.work import Sums, add, decode, merge, rows
from weir_bench.peers.topic import BEGIN, LATE_SECONDS, MINUTES, TENANTS, TYPES, events
from weir_common.kafka.records import EVENT_TYPE_HEADER, TENANT_HEADER

EVENTS = 3_000


def test_the_programs_decoder_finds_what_was_written() -> None:
    expected: Sums = {}
    found: Sums = {}
    for made in events("topic", EVENTS):
        assert made.record.value is not None
        assert 7_000 < len(made.record.value) < 7_500
        assert made.record.headers[TENANT_HEADER] == made.tenant.encode()
        assert made.record.headers[EVENT_TYPE_HEADER] == made.type.encode()
        merge(expected, {(made.tenant, made.type, made.minute): [1, made.cents]})
        add(found, decode(made.record.value))
    assert rows(found) == rows(expected)
    assert sum(row[3] for row in rows(found)) == EVENTS


def test_the_same_seed_gives_the_same_events() -> None:
    assert list(islice(events("topic", EVENTS), 50)) == list(islice(events("topic", EVENTS), 50))
    assert next(events("topic", EVENTS, seed=2)) != next(events("topic", EVENTS, seed=1))


def test_tenants_follow_zipf_and_every_type_and_minute_occurs() -> None:
    made = list(events("topic", EVENTS))
    of_the_first = sum(one.tenant == "merchant_00" for one in made) / EVENTS
    assert 0.18 < of_the_first < 0.27
    assert len({one.tenant for one in made}) == TENANTS
    assert {one.type for one in made} == {kind for kind, _ in TYPES}
    begin = int(BEGIN.timestamp()) // 60
    assert {one.minute for one in made} <= set(range(begin - int(LATE_SECONDS // 60) - 1, begin + MINUTES))


def test_events_are_late() -> None:
    minutes = [one.minute for one in events("topic", EVENTS)]
    assert minutes != sorted(minutes)
