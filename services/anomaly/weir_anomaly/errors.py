"""Errors of anomaly; each says what the consumer does.

UndecodableEvent   quarantine: the bytes on the log are no event of schema 2.1
StateConflict      retry: another instance wrote a state after we had read it; read again
StateUnreadable    stop: a stored state was not written by any version of its rule
"""

from __future__ import annotations

from weir_common.errors import QuarantineError, RetryError, StopError


class UndecodableEvent(QuarantineError):
    """The value of a record is no event."""

    def __init__(self, detail: str) -> None:
        super().__init__("undecodable_event", detail)


class StateConflict(RetryError):
    """The stored version is not the one that was read."""


class StateUnreadable(StopError):
    """The bytes of a stored state do not decode."""
