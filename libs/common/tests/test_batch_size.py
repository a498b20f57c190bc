"""Batches grow while there is a backlog and shrink when it is gone."""

from __future__ import annotations

from weir_common.kafka.batch_size import BatchSize


def test_it_doubles_to_its_limit_and_falls_back_at_once() -> None:
    size = BatchSize(100, growth=4)
    seen = []
    for records in (40, 100, 200, 400, 400, 399, 100):
        size.filled(records)
        seen.append(size.now)
    assert seen == [100, 200, 400, 400, 400, 100, 200]


def test_without_growth_it_stays() -> None:
    size = BatchSize(100, growth=1)
    size.filled(100)
    assert size.now == 100
