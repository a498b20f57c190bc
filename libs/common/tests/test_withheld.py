"""What callers write into requests does not reach spans or the audit log."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext
from weir_common.audit import tenant_asked
from weir_common.http import withhold


def test_a_span_keeps_its_route_and_loses_the_callers_words() -> None:
    span = TracerProvider().get_tracer("test").start_span("GET /receipts/{id}")
    told = {"http.route": "/receipts/{id}", "http.request.method": "GET"}
    for name in ("url.path", "url.query", "http.target", "user_agent.original", "client.address"):
        span.set_attribute(name, "ada@example.com")
    for name, value in told.items():
        span.set_attribute(name, value)
    withhold(span, {})
    attributes = dict(span.attributes or {})  # type: ignore[attr-defined]
    assert "ada@example.com" not in attributes.values()
    assert told.items() <= attributes.items()
    assert "url.full" not in attributes


def test_a_span_that_is_not_recorded_is_left_alone() -> None:
    withhold(NonRecordingSpan(SpanContext(1, 1, False)), {})


@pytest.mark.parametrize("name", ["my-shop", "u", "Grocer_North-4f43ef", "7eleven"])
def test_a_merchants_id_is_written_as_asked(name: str) -> None:
    assert tenant_asked(name) == name


@pytest.mark.parametrize(
    "other",
    ["ada@example.com", "4111111111111111", "4111-1111-1111-1111", "+49 151 2345678", "2001:db8::1", "a" * 64, "a\n"],
)
def test_what_cannot_be_a_merchants_id_is_not_written(other: str) -> None:
    assert tenant_asked(other) == "no tenant's id"


def test_nothing_asked_is_nothing() -> None:
    assert tenant_asked(None) == tenant_asked("") == ""
