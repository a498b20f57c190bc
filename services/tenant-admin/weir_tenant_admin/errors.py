"""What can go wrong in tenant-admin, and what to do about it.

Clients see ``weir_common.problems``; these are the errors between the layers.

ApplyConflict            refuse: another field manager owns the field; show who and which, never force
AdmissionDenied          refuse: the control plane does not admit the object; its reason is shown
ControlPlaneUnavailable  retry: the control plane does not answer
NoControlPlane           refuse: none is configured; plans still work
PlanGone                 stop: no such plan; its workflow must not touch anything
ControllerIdle           undo: the autoscaling controller did not act in time
"""

from __future__ import annotations

from collections.abc import Sequence

from weir_common.errors import RetryError, WeirError


class ApplyConflict(WeirError):
    """``conflicts``: (manager, field) pairs as the API server named them."""

    def __init__(self, object_ref: str, conflicts: Sequence[tuple[str, str]], message: str) -> None:
        super().__init__(f"{object_ref}: {message}")
        self.object_ref = object_ref
        self.conflicts = tuple(conflicts)
        self.message = message


class AdmissionDenied(WeirError):
    """``reason`` is the API server's own text."""

    def __init__(self, object_ref: str, reason: str) -> None:
        super().__init__(f"{object_ref}: {reason}")
        self.object_ref = object_ref
        self.reason = reason


class ControlPlaneUnavailable(RetryError):
    pass


class NoControlPlane(WeirError):
    pass


class ControllerIdle(WeirError):
    pass


class PlanGone(WeirError):
    pass
