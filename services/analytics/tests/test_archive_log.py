"""What a record on the log may look like without stopping the archive."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from weir_analytics.archive_log import _accepted_at
from weir_analytics.domain.event import microseconds


def test_a_moment_is_a_time_with_a_zone() -> None:
    assert _accepted_at(b"2026-11-25T12:00:00.000001Z") == microseconds(datetime(2026, 11, 25, 12, 0, 0, 1, UTC))


@pytest.mark.parametrize("header", [None, b"", b"yesterday", b"2026-11-25T12:00:00", b"\xff\xfe"])
def test_what_is_no_moment_is_none(header: bytes | None) -> None:
    assert _accepted_at(header) is None
