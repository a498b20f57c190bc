"""Builders of events for the tests of analytics."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

Event = dict[str, Any]
MakeEvent = Callable[..., Event]


@pytest.fixture(scope="session")
def make_event() -> MakeEvent:
    """A small event of schema 2.1; every keyword is optional."""

    def make(
        *,
        subtype: str = "page_view",
        at: datetime | str = datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
        tenant: str = "t",
        event_id: str | None = None,
        source: str = "web_app",
        user: str | None = None,
        anonymous: str | None = None,
        fingerprint: str | None = None,
        client_session: str | None = None,
        sequence: int | None = None,
        paint: float | None = None,
        transaction: dict[str, Any] | None = None,
        event_type: str | None = None,
    ) -> Event:
        kind = event_type or ("transaction" if subtype in ("purchase", "payment_declined") else "user_interaction")
        event: Event = {
            "schema_version": "2.1",
            "tenant_id": tenant,
            "event_metadata": {
                "event_id": event_id or str(uuid.uuid4()),
                "timestamp": at if isinstance(at, str) else at.isoformat(),
                "source_system": source,
            },
            "event_data": {
                "event_type": kind,
                "event_subtype": subtype,
                "user_context": {
                    "user_id": user,
                    "anonymous_id": anonymous,
                    "session_data": {
                        "session_id": client_session,
                        "session_sequence": sequence,
                        "session_attributes": {"device_fingerprint": fingerprint},
                    },
                },
            },
        }
        business = event["event_data"].setdefault("business_context", {})
        if paint is not None:
            business["interaction_context"] = {
                "page_context": {"page_load_metrics": {"largest_contentful_paint": paint}}
            }
        if transaction is not None:
            business["transaction_context"] = transaction
        return event

    return make
