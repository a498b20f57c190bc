"""How bad a finding is, in five steps."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """Ordered by ``rank``; the words are the public ones."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 4 for critical."""
        return _ORDER.index(self)


_ORDER: Final = tuple(Severity)


def worst(severities: Iterable[Severity]) -> Severity:
    """The highest of them; at least one is needed."""
    return max(severities, key=lambda severity: severity.rank)


def at_least(minimum: Severity) -> tuple[Severity, ...]:
    """``minimum`` and what is worse."""
    return _ORDER[minimum.rank :]


def lowered(severity: Severity, suppressors: Iterable[str]) -> Severity:
    """One step down when a suppressor applies; critical is never hidden, info stays info."""
    if severity in (Severity.CRITICAL, Severity.INFO) or not any(True for _ in suppressors):
        return severity
    return _ORDER[severity.rank - 1]
