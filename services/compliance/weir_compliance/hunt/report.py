"""What a hunt found, for people and for programs. Labels only, never a value."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.search import StoreReport

VERSION: Final = 1
"""Of the hunter: what it decodes and how it spells. A certificate of erasure names it."""

PLANTED: Final = "planted"
"""In a kind's row, how many values of it there are; all other members are stores."""

CLEAN, FOUND, UNREAD = 0, 1, 2
"""Exit codes. A find is certain whatever else could not be read; without one, an unread store leaves the question open."""


def exit_code(reports: Sequence[StoreReport]) -> int:
    """CLEAN only if every store was read to its end."""
    if any(report.sightings for report in reports):
        return FOUND
    return UNREAD if any(report.fault for report in reports) or not reports else CLEAN


def document(planted: Sequence[Planted], reports: Sequence[StoreReport]) -> dict[str, Any]:
    """The whole of it as JSON: stores with groups with labels, and for each kind of value the stores that have it."""
    found = set().union(*(report.labels for report in reports)) if reports else set()
    return {
        "version": VERSION,
        "verdict": {CLEAN: "clean", FOUND: "found", UNREAD: "unread"}[exit_code(reports)],
        "values": len(planted),
        "values_found": len(found),
        "stores": [
            {
                "store": report.store,
                "bytes": report.bytes,
                "units": report.units,
                "seconds": round(report.seconds, 3),
                "fault": report.fault,
                "values_found": len(report.labels),
                "places": [
                    {
                        "where": where,
                        "values": {
                            label: {
                                "occurrences": sighting.occurrences,
                                "spellings": sorted(sighting.spellings),
                                "at": sighting.examples,
                            }
                            for label, sighting in sorted(labels.items())
                        },
                    }
                    for where, labels in sorted(report.sightings.items())
                ],
            }
            for report in reports
        ],
        "kinds": kinds(planted, reports),
    }


def kinds(planted: Sequence[Planted], reports: Sequence[StoreReport]) -> dict[str, dict[str, int]]:
    """For each kind of value: how many there are (PLANTED), and how many of them each store has."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in planted:
        row = table[one.kind or one.label]
        row[PLANTED] += 1
        for report in reports:
            if one.label in report.labels:
                row[report.store] += 1
    return {kind: dict(row) for kind, row in sorted(table.items())}


def show(console: Console, planted: Sequence[Planted], reports: Sequence[StoreReport]) -> None:
    """A table of the stores, then where values were found, one line a group. Only of ``planted``, if more was looked for."""
    asked = {one.label for one in planted}
    table = Table("store", box=None, pad_edge=False)
    for name in ("looked through", "decoded units", "seconds", "values found"):
        table.add_column(name, justify="right")
    for report in reports:
        seen = len(report.labels & asked)
        verdict = "[red]not read[/]" if report.fault else f"[red]{seen:,}[/]" if seen else "[green]0[/]"
        table.add_row(report.store, _size(report.bytes), f"{report.units:,}", f"{report.seconds:.1f}", verdict)
    console.print(table)
    for report in reports:
        if report.fault:
            console.print(f"[red]✗[/] {report.store} could not be read: {escape(report.fault)}", soft_wrap=True)
        for where, every in sorted(report.sightings.items()):
            labels = {label: sighting for label, sighting in every.items() if label in asked}
            if not labels:
                continue
            label, sighting = next(iter(sorted(labels.items())))
            spelled = sorted({name for one in labels.values() for name in one.spellings})
            times = sum(one.occurrences for one in labels.values())
            console.print(
                f"{report.store}: {where}  {len(labels)} values, {times} times ({', '.join(spelled)}), "
                f"such as {label} at {sighting.examples[0]}",
                markup=False,
                soft_wrap=True,
            )
    found = asked & set().union(*(report.labels for report in reports))
    console.print(f"{len(found):,} of {len(planted):,} planted values found", soft_wrap=True)


def show_kinds(console: Console, planted: Sequence[Planted], reports: Sequence[StoreReport]) -> None:
    """Which kind of value is in which store, a line a kind, such as `header:referer  3 planted: logs 2, traces 3`."""
    for kind, row in kinds(planted, reports).items():
        stores = ", ".join(f"{name} {count}" for name, count in row.items() if name != PLANTED) or "nowhere"
        console.print(f"{kind}  {row[PLANTED]} planted: {stores}", markup=False, soft_wrap=True)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
