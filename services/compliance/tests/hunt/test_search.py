"""The hunt: what is counted, what is noted, and that an unread store is never clean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from rich.console import Console
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.ports import Piece, UnreadableError
from weir_compliance.hunt.prove import EVIDENCE, BlindError, expect_sighted
from weir_compliance.hunt.report import CLEAN, FOUND, UNREAD, document, exit_code, show, show_kinds
from weir_compliance.hunt.search import Sighting, StoreReport, hunt

PLANTED = [Planted("mail", "ada.q7@example.com", "/user_id"), Planted("card", "4111111111111111", "/card")]
MATCHER = Matcher(PLANTED)


class FakeStore:
    """Gives its pieces, then raises if it has something to raise."""

    def __init__(self, name: str, pieces: Sequence[Piece] = (), fault: Exception | None = None) -> None:
        self.name = name
        self._pieces = pieces
        self._fault = fault

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        for piece in self._pieces:
            yield piece
        if self._fault is not None:
            raise self._fault


class EndlessStore:
    name = "endless"

    async def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        while True:
            yield Piece("group", "place", b"nothing here")


async def reports_of(*stores: FakeStore | EndlessStore, seconds: float = 5) -> list[StoreReport]:
    return await hunt(stores, MATCHER, store_seconds=seconds)


HELD = FakeStore(
    "held",
    [
        Piece("topic value", "offset 1", b'{"mail":"ada.q7@example.com"}'),
        Piece("topic value", "offset 2", b"ada.q7%40example.com", unit=True),
        # The part that was in the piece before is not counted again.
        Piece("topic value", "offset 3", b"ada.q7@example.com more", repeated=18, unit=False),
        Piece("key ada.q7@example.com", "ada.q7@example.com", b"4111111111111111"),
    ],
)


async def test_a_hunt_counts_and_notes_places_without_the_value() -> None:
    (report,) = await reports_of(HELD)
    assert (report.units, report.bytes, report.fault) == (3, 29 + 20 + 5 + 16, None)
    assert report.labels == {"mail", "card"}
    sighting = report.sightings["topic value"]["mail"]
    assert (sighting.occurrences, sighting.spellings) == (2, {"plain", "percent"})
    assert sighting.examples == ["offset 1", "offset 2"]
    assert report.sightings["key ‹mail›"]["card"].examples == ["‹mail›"]


async def test_nothing_that_is_shown_holds_a_value() -> None:
    reports = await reports_of(HELD, FakeStore("torn", fault=UnreadableError("no ada.q7@example.com here")))
    console = Console(record=True, width=200)
    show(console, PLANTED, reports)
    show_kinds(console, PLANTED, reports)
    text = console.export_text() + json.dumps(document(PLANTED, reports))
    assert "ada.q7" not in text
    assert "4111" not in text
    assert "/user_id  1 planted: held 1" in text


@pytest.mark.parametrize("fault", [UnreadableError("gone"), OSError("gone"), ValueError("gone"), TimeoutError()])
async def test_an_unread_store_is_not_clean(fault: Exception) -> None:
    clean = FakeStore("clean", [Piece("group", "place", b"nothing here")])
    assert exit_code(await reports_of(clean)) == CLEAN
    assert exit_code(await reports_of(clean, FakeStore("torn", fault=fault))) == UNREAD
    assert exit_code(await reports_of(HELD, FakeStore("torn", fault=fault))) == FOUND
    assert exit_code([]) == UNREAD


async def test_a_store_without_an_end_is_given_up() -> None:
    (report,) = await reports_of(EndlessStore(), seconds=0.2)
    assert report.fault is not None
    assert "no end within" in report.fault


async def test_a_fault_of_our_own_is_not_taken_for_an_unread_store() -> None:
    with pytest.raises(ZeroDivisionError):
        await reports_of(FakeStore("torn", fault=ZeroDivisionError()))


# ── proof that it sees ──────────────────────────────────────────────────────────────────────────────────────────────


def sighted() -> list[StoreReport]:
    """Reports in which every canary is where it must be."""
    reports: dict[str, StoreReport] = {}
    for store, part, label in EVIDENCE:
        report = reports.setdefault(store, StoreReport(store))
        report.sightings[f"some{part}thing"][label] = Sighting(1)
    return list(reports.values())


def test_a_hunter_that_sees_everything_is_proven() -> None:
    names = {store for store, _, _ in EVIDENCE}
    assert len(expect_sighted(sighted(), names)) == len(EVIDENCE)


@pytest.mark.parametrize("index", range(len(EVIDENCE)))
def test_one_missing_sight_makes_it_blind(index: int) -> None:
    store, part, label = EVIDENCE[index]
    reports = sighted()
    group = next(one for one in reports if one.store == store).sightings[f"some{part}thing"]
    del group[label]
    with pytest.raises(BlindError, match=f"{store} has no {label}"):
        expect_sighted(reports, {store})


def test_a_store_that_was_not_read_proves_nothing() -> None:
    reports = sighted()
    reports[0].fault = "no answer"
    with pytest.raises(BlindError, match="could not be read"):
        expect_sighted(reports, {reports[0].store})
    with pytest.raises(BlindError, match="could not be read"):
        expect_sighted(reports[1:], {reports[0].store})
