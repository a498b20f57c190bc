from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.sketches.codec import decode_sketch
from weir_analytics.domain.sketches.distinct_count import EXACT_MEMBERS, DistinctCount, hash64

members = st.lists(st.integers(0, 3000), max_size=3000)


def of(numbers: list[int]) -> DistinctCount:
    return DistinctCount.of(hash64(str(number)) for number in numbers)


@given(members, st.randoms(use_true_random=False))
def test_order_and_split_do_not_matter(numbers: list[int], random_: random.Random) -> None:
    whole = of(numbers)
    shuffled = numbers.copy()
    random_.shuffle(shuffled)
    cuts = sorted(random_.sample(range(len(shuffled) + 1), k=min(4, len(shuffled) + 1)))
    parts = [of(shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    assert parts[0].union(*parts[1:]).encode() == whole.encode()
    assert decode_sketch(whole.encode()).encode() == whole.encode()
    if len(set(numbers)) <= EXACT_MEMBERS:
        assert whole.exact
        assert whole.count() == len(set(numbers))


def test_the_border_between_set_and_registers() -> None:
    assert of(list(range(EXACT_MEMBERS))).exact
    beyond = of(list(range(EXACT_MEMBERS + 1)))
    assert not beyond.exact
    assert beyond.count() == pytest.approx(EXACT_MEMBERS + 1, rel=0.05)


@pytest.mark.parametrize("size", [1_100, 2_000, 5_000, 12_000, 20_000, 50_000, 200_000])
def test_the_error_is_what_the_catalogue_promises(size: int) -> None:
    """Root mean square over 12 sets against the stated standard error of 1.6 %, with room for 12 being few."""
    errors = []
    for run in range(12):
        generator = random.Random(size * 100 + run)
        count = DistinctCount.of(generator.getrandbits(64) for _ in range(size)).count()
        errors.append(count / size - 1)
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.0163 * 1.6


def test_a_hash_is_the_head_of_sha256() -> None:
    assert hash64("") == 0xE3B0C44298FC1C14


def test_bytes_that_are_no_count_are_refused() -> None:
    with pytest.raises(ValueError, match="not a distinct count"):
        DistinctCount.decode(b"r123")
