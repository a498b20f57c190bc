"""How fast the machine is at this moment: virtual cores of which others use the real ones vary by a factor of two."""

from __future__ import annotations

import time
from typing import Final

ITERATIONS: Final = 300_000
REFERENCE_SECONDS: Final = 0.013
"""What the loop took at best on the machine that the README's figures are from."""


def slowness() -> float:
    """Processor time of a fixed loop over the reference: 2 means that everything costs twice as much as it did there at best."""
    return round(min(_loop_seconds() for _ in range(5)) / REFERENCE_SECONDS, 2)


def _loop_seconds() -> float:
    began = time.process_time()
    total = 0
    for number in range(ITERATIONS):
        total += number * number
    return time.process_time() - began
