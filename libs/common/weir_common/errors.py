"""The errors of Weir; each says what the caller must do.

WeirError
 ├─ RetryError        transient: the same call may succeed later, retry with back-off and a limit
 ├─ QuarantineError   this one record cannot be processed, now or ever: put it aside with its reason, go on
 └─ StopError         going on would lose or falsify data: stop the consumer, let a person or a restart decide
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weir_common.kafka.records import Record


class WeirError(Exception):
    """Root of the tree; never raised itself."""


class RetryError(WeirError):
    """Transient: retry the same work with back-off."""


class QuarantineError(WeirError):
    """One record cannot be processed. ``reason`` is a short stable code, ``detail`` is for people."""

    def __init__(self, reason: str, detail: str = "", *, record: Record | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.record = record


class StopError(WeirError):
    """Going on would lose or falsify data."""
