"""A bench's measures at the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from weir_local.demo.report import Measure


def show(measures: Sequence[Measure]) -> None:
    """A line a measure, with its bound and whether it is met."""
    width = max(len(measure.name) for measure in measures)
    for measure in measures:
        value = "-" if measure.value is None else f"{measure.value:g}"
        met = "ok " if measure.met else "BAD"
        print(f"  {met} {measure.name:<{width}} {value} {measure.unit} (must be {measure.bound})")
