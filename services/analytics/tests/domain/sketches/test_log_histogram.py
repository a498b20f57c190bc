from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.sketches.codec import decode_sketch
from weir_analytics.domain.sketches.log_histogram import ALPHA, LogHistogram, bucket_of, representative

values = st.lists(st.floats(min_value=0, max_value=1e12, allow_subnormal=False), min_size=1, max_size=200)


@given(values, st.randoms(use_true_random=False), st.sampled_from([0.5, 0.75, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_nearest_rank(
    numbers: list[float], random_: random.Random, q: float
) -> None:
    whole = LogHistogram.of(numbers)
    exact = sorted(numbers)[max(1, math.ceil(round(q * len(numbers), 9))) - 1]
    found = whole.quantile(q)
    assert found is not None
    assert abs(found - exact) <= ALPHA * exact * (1 + 1e-9)
    shuffled = numbers.copy()
    random_.shuffle(shuffled)
    middle = len(shuffled) // 2
    parts = LogHistogram.of(shuffled[:middle]), LogHistogram.of(shuffled[middle:])
    assert parts[0].add(parts[1]).encode() == whole.encode()
    assert decode_sketch(whole.encode()).encode() == whole.encode()


def test_the_percentile_counts_by_rank() -> None:
    histogram = LogHistogram.of([800.0] * 19 + [4000.0])
    assert histogram.quantile(0.95) == representative(bucket_of(800.0))
    assert histogram.quantile(0.951) == representative(bucket_of(4000.0))


def test_nothing_has_no_quantile() -> None:
    assert LogHistogram({}).quantile(0.95) is None
