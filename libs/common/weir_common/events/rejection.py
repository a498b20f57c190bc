"""How an event is refused."""

from __future__ import annotations

from collections.abc import Sequence

from weir_common.problems import FieldError


class EventRejected(ValueError):
    """The text is no event of any known version. ``errors`` names every fault, each with its pointer; never empty."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or '/'}: expected {error.expected}" for error in errors[:3]))
        self.errors = tuple(errors)
