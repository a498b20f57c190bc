"""Quantiles with a relative error of at most 1 %, whatever the order and split of the stream.

A value x > 0 falls into bucket ⌈ln x / ln γ⌉ with γ = (1 + α)/(1 − α), as in DDSketch (Masson, Rim, Lee 2019) but with every bucket kept: the
buckets of two parts add to exactly those of the whole. Values ≤ 0 share one bucket of their own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

ALPHA = 0.01
GAMMA = (1 + ALPHA) / (1 - ALPHA)
_PER_LN = 1 / math.log(GAMMA)

ZERO = -(1 << 20)
"""Bucket of values ≤ 0; lower than that of the smallest double (−37,252)."""


def bucket_of(value: float) -> int:
    """The bucket of one value, which must be finite."""
    return math.ceil(math.log(value) * _PER_LN) if value > 0 else ZERO


def representative(bucket: int) -> float:
    """The value that is within α of everything in the bucket: 2γ^i/(γ + 1)."""
    return 0.0 if bucket == ZERO else 2 * GAMMA**bucket / (GAMMA + 1)


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """How many values fell into each bucket; no bucket is empty."""

    counts: Mapping[int, int]

    @classmethod
    def of(cls, values: Iterable[float]) -> LogHistogram:
        return cls(Counter(map(bucket_of, values)))

    def add(self, *others: LogHistogram) -> LogHistogram:
        counts = Counter(self.counts)
        for other in others:
            counts.update(other.counts)
        return LogHistogram(counts)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def quantile(self, q: float) -> float | None:
        """The smallest value that at least a share q of all values does not exceed (nearest rank); None of nothing."""
        rank = max(1, math.ceil(round(q * self.total, 9)))  # 0.95 × 20 is 19, not a little more
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return representative(bucket)
        return None

    def encode(self) -> bytes:
        """Equal histograms give equal bytes."""
        return msgspec.msgpack.encode(sorted(self.counts.items()))

    @classmethod
    def decode(cls, data: bytes) -> LogHistogram:
        return cls(dict(msgspec.msgpack.decode(data, type=list[tuple[int, int]])))
