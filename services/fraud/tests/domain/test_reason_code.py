"""What a shopper may be told."""

from __future__ import annotations

import re

import pytest
from weir_fraud.domain import reason_code
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import RETIRED
from weir_fraud.domain.reason_code import GENERAL_SHOPPER_TEXT, ReasonCode

CODES = [*(one for one in vars(reason_code).values() if isinstance(one, ReasonCode)), RETIRED]

TELLING = re.compile(
    r"""fraud|scor|devic|fingerprint|veloc|model|risk|suspici|suspect|declin|chargeback|list|rule|polic|threshold|limit
    |network|\bip\b|proxy|vpn|\btor\b|bot\b|program|automat|token|hash|session|locat|countr|travel|distance|speed
    |hour|night|time|often|many|number|\bcount\b|earlier|before|histor|previous|\bnew\b|\bage\b|merchant
    |other|another|someone|somebody|person|people|user|customer|shared|who\b|\d""",
    re.IGNORECASE | re.VERBOSE,
)
"""What would say how it was found out, or that somebody else has to do with it."""


def test_every_reason_that_a_feature_gives_is_looked_at_here(catalogue: Catalogue) -> None:
    assert len(CODES) > 50
    assert {feature.reason for feature in catalogue.features.values()} <= set(CODES)
    assert len({one.code for one in CODES}) == len(CODES)


@pytest.mark.parametrize("one", CODES, ids=lambda one: one.code)
def test_every_code_has_a_text_that_may_be_shown_to_a_shopper(one: ReasonCode) -> None:
    assert re.fullmatch(r"[A-Z][^{}<>_]{20,110}\.", one.shopper_text)
    assert TELLING.search(one.shopper_text) is None
    assert one.text != one.shopper_text


@pytest.mark.parametrize("one", CODES, ids=lambda one: one.code)
def test_what_is_known_of_others_and_of_behaviour_gets_the_general_answer(one: ReasonCode) -> None:
    """A particular text for one of these would say which of them it was."""
    if re.search(
        r"SHARED|FRAUD|RISK|VELOCITY|DECLINES|DEVICE|NETWORK|MULTIPLE|TRAVEL|LOCATION|CLIENT|SENDER|ADDRESSES|TOKENS",
        one.code,
    ) and (not one.code.startswith("PAYMENT_TOKEN_") or one.code.endswith(("SHARED", "ADDRESSES"))):
        assert one.shopper_text == GENERAL_SHOPPER_TEXT


@pytest.mark.parametrize("text", ["Your fraud score is high.", "Used by another person.", "Too many devices."])
def test_the_words_that_are_looked_for_are_found(text: str) -> None:
    assert TELLING.search(text) is not None
