"""Only an explicit ``false`` is a refusal."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest
from weir_ingest.domain.receipt import receipt_consent
from weir_ingest.domain.validate import InvalidEvent, ValidEvent, validate

NAMES = ("analytics", "marketing", "tracking")
NOT_STATED = "not stated"


def judged(user_context: Any, version: str = "2.1") -> ValidEvent | InvalidEvent:
    document = {
        "schema_version": version,
        "tenant_id": "t",
        "event_metadata": {
            "event_id": "6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
            "timestamp": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {"event_type": "user_interaction", "event_subtype": "page_view", "user_context": user_context},
    }
    return validate(msgspec.json.encode(document), max_bytes=10_000)


def refused(user_context: Any, version: str = "2.1") -> set[str]:
    event = judged(user_context, version)
    assert isinstance(event, ValidEvent), event
    return {str(consent) for consent in event.refused}


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
@pytest.mark.parametrize("stated", list(product([True, False, None, NOT_STATED], repeat=3)))
def test_of_each_combination_exactly_what_is_false_is_refused(stated: tuple[Any, ...], version: str) -> None:
    settings = {f"{name}_consent": value for name, value in zip(NAMES, stated, strict=True) if value is not NOT_STATED}
    context = {"user_profile": {"preferences": {"privacy_settings": settings}}}
    expected = {name for name, value in zip(NAMES, stated, strict=True) if value is False}
    assert refused(context, version) == expected


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"user_profile": None},
        {"user_profile": {"preferences": None}},
        {"user_profile": {"preferences": {"privacy_settings": None}}},
    ],
)
def test_who_says_nothing_refuses_nothing(context: Any) -> None:
    assert refused(context) == set()


@pytest.mark.parametrize("value", ["false", 0, "no", []])
def test_what_is_no_boolean_is_a_fault_and_not_a_consent(value: Any) -> None:
    settings = {"tracking_consent": value}
    event = judged({"user_profile": {"preferences": {"privacy_settings": settings}}})
    assert isinstance(event, InvalidEvent)
    assert event.errors[0].pointer.endswith("/privacy_settings/tracking_consent")


def test_the_receipt_says_what_was_refused_and_what_is_withheld() -> None:
    assert receipt_consent(frozenset()) is None
    event = judged({"user_profile": {"preferences": {"privacy_settings": {"analytics_consent": False}}}})
    assert isinstance(event, ValidEvent)
    assert msgspec.json.decode(msgspec.json.encode(receipt_consent(event.refused))) == {
        "refused": ["analytics"],
        "withheld": ["behaviour", "people"],
    }
