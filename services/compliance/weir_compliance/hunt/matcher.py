"""All spellings of all planted values in one automaton, so that a store is read once."""

from collections.abc import Sequence
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick

from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.spellings import spellings


@dataclass(frozen=True, slots=True)
class Match:
    """``planted`` stands in the data from ``start`` to ``end``, spelled so."""

    planted: Planted
    spelling: str
    start: int
    end: int


class Matcher:
    """Built once (about a second for 1,000 values), then only read."""

    def __init__(self, planted: Sequence[Planted], *, hashed: bool = False) -> None:
        patterns: list[bytes] = []
        self._meaning: list[tuple[Planted, str]] = []
        for one in planted:
            for spelled, name in spellings(one.value, hashed=hashed).items():
                patterns.append(spelled)
                self._meaning.append((one, name))
        self.patterns = len(patterns)
        self.shortest = min(map(len, patterns))
        self.longest = max(map(len, patterns))
        # Standard matching is the kind that finds a value within another one.
        self._automaton = BytesAhoCorasick(patterns)

    def matches(self, data: bytes) -> list[Match]:
        """Every occurrence of every value, also overlapping ones."""
        found = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return [Match(*self._meaning[index], start, end) for index, start, end in found]

    def masked(self, text: str) -> str:
        """The text with every planted value replaced by its label: a file name or a key may hold one, too."""
        raw = text.encode("utf-8", "surrogateescape")
        found = sorted(self.matches(raw), key=lambda match: (match.start, -match.end))
        parts: list[bytes] = []
        done = 0
        for match in found:
            if match.start >= done:
                parts += [raw[done : match.start], f"‹{match.planted.label}›".encode()]
            done = max(done, match.end)
        return b"".join([*parts, raw[done:]]).decode("utf-8", "backslashreplace")
