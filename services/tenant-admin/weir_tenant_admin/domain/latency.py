"""Quantiles from the log histogram in which services report latencies (``weir_common.metering.latency_bucket``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HISTOGRAM_SIZE = 81
"""Buckets 0 … 80: 0.1 ms to 216 s; the last one holds everything above."""

_FIRST_SECONDS = 1e-4
_RATIO = 1.2


def dense(buckets: Mapping[int, int]) -> list[int]:
    """The histogram as a list of ``HISTOGRAM_SIZE`` counts."""
    histogram = [0] * HISTOGRAM_SIZE
    for bucket, count in buckets.items():
        histogram[min(max(bucket, 0), HISTOGRAM_SIZE - 1)] += count
    return histogram


def quantile(histogram: Sequence[int], q: float) -> float | None:
    """The upper bound in seconds of the bucket that holds the q-quantile (at most 20 % too high); None without requests."""
    total = sum(histogram)
    if total == 0:
        return None
    rank = q * total
    seen = 0
    last = 0
    for bucket, count in enumerate(histogram):
        seen += count
        if count:
            last = bucket
        if count and seen >= rank:
            break
    return float(_FIRST_SECONDS * _RATIO**last)
