"""What can happen to a subject request, and what the outside world calls it.

Inner states follow Fides' experience with stores that fail one by one; outer ones are the Data Rights Protocol 1.0's
(§3.02).
"""

from enum import StrEnum


class RequestKind(StrEnum):
    """What the person asked for. Erasure, rectification and objection come with their own workflows."""

    ACCESS = "access"


class RequestState(StrEnum):
    RECEIVED = "received"
    RUNNING = "running"
    FULFILLED = "fulfilled"
    EXPIRED = "expired"


class StoreState(StrEnum):
    """One store's part of a request."""

    PENDING = "pending"
    COLLECTING = "collecting"
    WAITING = "waiting"  # the last attempt failed; the next one is scheduled
    FAILED = "failed"  # retrying cannot help; waits for a person to re-run it
    DONE = "done"


class RightsStatus(StrEnum):
    """The Data Rights Protocol's words."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    EXPIRED = "expired"


RIGHTS_STATUS = {
    RequestState.RECEIVED: RightsStatus.OPEN,
    RequestState.RUNNING: RightsStatus.IN_PROGRESS,
    RequestState.FULFILLED: RightsStatus.FULFILLED,
    RequestState.EXPIRED: RightsStatus.EXPIRED,
}

NEXT: dict[RequestState, frozenset[RequestState]] = {
    RequestState.RECEIVED: frozenset({RequestState.RUNNING}),
    RequestState.RUNNING: frozenset({RequestState.FULFILLED}),
    RequestState.FULFILLED: frozenset({RequestState.EXPIRED}),
    RequestState.EXPIRED: frozenset(),
}


class IllegalTransitionError(ValueError):
    """A request cannot go from the one state to the other."""

    def __init__(self, current: RequestState, wanted: RequestState) -> None:
        super().__init__(f"a request that is {current} cannot become {wanted}")
        self.current = current
        self.wanted = wanted


def move(current: RequestState, wanted: RequestState) -> RequestState:
    """`wanted`, or IllegalTransitionError. Staying where one is counts as moving, so that a repeated step is
    harmless.
    """
    if wanted != current and wanted not in NEXT[current]:
        raise IllegalTransitionError(current, wanted)
    return wanted
