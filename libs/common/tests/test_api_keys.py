"""API keys: shape, checksum, what is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_common.api_keys import generate_api_key, hash_api_key, is_well_formed, redact_api_key


def test_a_new_key_is_well_formed_and_unlike_any_other() -> None:
    keys = {generate_api_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_well_formed(key) for key in keys)


@given(st.integers(0, 45), st.sampled_from("0Az9"))
def test_one_wrong_character_is_seen(place: int, character: str) -> None:
    key = generate_api_key()
    place %= len(key)
    changed = key[:place] + character + key[place + 1 :]
    assert is_well_formed(changed) == (changed == key)


@pytest.mark.parametrize("key", ["", "weir_live_", "weir_prod_" + "a" * 36, "x" * 46])
def test_other_shapes_are_refused(key: str) -> None:
    assert not is_well_formed(key)


def test_only_a_hash_and_a_hint_are_ever_shown() -> None:
    key = generate_api_key("test")
    assert len(hash_api_key(key)) == 64
    assert key not in redact_api_key(key)
    assert redact_api_key(key).startswith("weir_test_")
