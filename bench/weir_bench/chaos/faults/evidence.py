"""What a fault leaves behind for the record."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Evidence:
    """``words``: how it is known that it happened. ``since``: from when recovery counts (``time.monotonic``), the moment of a kill or the end of the rest."""

    words: str
    since: float
    wrong: list[str] = field(default_factory=list)
    """What the fault's own judge found: empty is right."""
