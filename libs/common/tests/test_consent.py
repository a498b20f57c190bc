"""What refusals withhold, and how they travel."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from weir_common.consent import ASKS, NOTHING, Consent, Purpose, Refused, from_header, header_value, may_serve, withheld
from weir_common.errors import QuarantineError
from weir_common.kafka.records import Record

SUBSETS = [frozenset(some) for some in chain.from_iterable(combinations(Consent, size) for size in range(4))]


def test_every_purpose_says_what_it_asks_for() -> None:
    assert set(ASKS) == set(Purpose)


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ({}, ()),
        ({Consent.ANALYTICS}, (Purpose.BEHAVIOUR, Purpose.PEOPLE)),
        ({Consent.TRACKING}, (Purpose.PEOPLE,)),
        ({Consent.MARKETING}, (Purpose.MARKETING,)),
        (set(Consent), (Purpose.BEHAVIOUR, Purpose.PEOPLE, Purpose.MARKETING)),
    ],
)
def test_what_a_refusal_withholds(refused: set[Consent], expected: tuple[Purpose, ...]) -> None:
    assert withheld(frozenset(refused)) == expected


@pytest.mark.parametrize("refused", SUBSETS)
def test_trade_security_and_proof_are_never_withheld_and_a_further_refusal_gives_nothing_back(refused: Refused) -> None:
    for purpose in (Purpose.TRADE, Purpose.SECURITY, Purpose.ACCOUNTABILITY):
        assert may_serve(purpose, refused)
    for more in Consent:
        assert set(withheld(refused)) <= set(withheld(refused | {more}))


@pytest.mark.parametrize("refused", SUBSETS)
def test_a_header_says_what_was_written(refused: Refused) -> None:
    assert from_header(header_value(refused).encode()) == refused


def record(headers: dict[str, bytes]) -> Record:
    return Record("weir.ingest.events.v2", 0, 0, 0, b"", b"", headers)


def test_a_record_without_the_header_refuses_nothing() -> None:
    assert record({}).refused is NOTHING
    assert record({"weir-consent": b"tracking"}).refused == {Consent.TRACKING}
    assert record({"weir-consent": b"biometrics,tracking"}).refused == {Consent.TRACKING}


def test_a_header_that_cannot_be_read_does_not_count_as_no_refusal() -> None:
    with pytest.raises(QuarantineError):
        _ = record({"weir-consent": b"\xff"}).refused
