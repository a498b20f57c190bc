"""The oracle of the fuzzers, driven by hypothesis: the same inputs on every run, in seconds."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from weir_bench.fuzz.decoder import seeds
from weir_bench.fuzz.oracle import CODINGS, FORMS, check_body, check_event, check_request, coded

SEEDS = tuple(seeds())
TEXTS = tuple(seed[1:] for seed in SEEDS if seed[0] == 0x80)
WORDS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"null",
    b"1e309",
    b"-0",
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    b"NaN",
    b"\x00",
)

fixed = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)


@st.composite
def mutated(draw: st.DrawFn, texts: tuple[bytes, ...]) -> bytes:
    """A text with up to four cuts, each filled with something else."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(st.sampled_from(WORDS) | st.binary(max_size=8)) + text[end:]
    return text


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_the_seeds_hold(seed: int) -> None:
    check_request(SEEDS[seed])


@fixed
@given(mutated(TEXTS))
@example(b'{"a":' * 5_000)
@example(b"[" * 100_000)
@example(b'{"x":' + b"9" * 5_000 + b"}")
def test_an_event_is_refused_with_reasons_or_stays_the_same(text: bytes) -> None:
    check_event(text)


@fixed
@given(mutated(SEEDS))
def test_a_body_in_any_form_and_coding_is_refused_with_reasons_or_read(data: bytes) -> None:
    check_request(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@fixed
@given(JSON, st.sampled_from(FORMS), st.sampled_from(CODINGS), st.sampled_from(TEXTS))
def test_any_json_anywhere_in_an_event(value: object, form: dict[str, str], coding: str, text: bytes) -> None:
    def encode(document: object) -> bytes:
        return msgspec.json.encode(document)

    try:
        here = encode(value)
    except OverflowError:
        here = b"0"  # msgspec writes no whole number beyond 64 bits
    made = text.replace(b'"shop"', here, 1).replace(b'"tenant_id"', b'"x_more":%s,"tenant_id"' % here, 1)
    cloud = b'{"specversion":"1.0","id":"a","source":"/s","type":"x","data":%s,"ext":%s}' % (made, here)
    for body in (b'{"events":[%s],"x":%s}' % (made, here), cloud, b"[%s]" % cloud, made):
        check_body(coded(body, coding), form, coding)
