"""Members named twice in one object. Readers differ in which they take, so an event that has them means nothing certain.

msgspec takes the last and says nothing, and reading JSON in a way that notices is several times as slow. Hence two steps:
counting quotation marks clears nearly every event, the rest is read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from weir_common.events.document import escape
from weir_common.events.encode import encode_event
from weir_common.events.event import Event
from weir_common.events.quotation_marks import quotation_marks_of


def may_repeat_names(raw: bytes, event: Event, added: int) -> bool:
    """False only if no name occurs twice in ``raw``, given the event that was read from it.

    Without escaped quotation marks each name and text takes two, and the event has each name once and ``added`` more of our own.
    So if the counts agree, nothing was overwritten. Nulls, decimals in strings and escapes also make them differ: then
    `repeats_names` knows.
    """
    if b"\\" not in raw and event.unknown_fields is None:
        return raw.count(b'"') != quotation_marks_of(event) - 2 * added
    encoded = encode_event(event)
    if b'\\"' in encoded:  # \u0022 in the text is one more here, enough to hide a name
        return True
    return raw.count(b'"') != encoded.count(b'"') - 2 * added


def repeats_names(raw: bytes | msgspec.Raw) -> bool:
    """Whether any object of a JSON text, one that msgspec has read, has a name more than once."""
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) != len(pairs)

    _read(raw, look)
    return found


def repeated_names(raw: bytes | msgspec.Raw) -> list[str]:
    """Pointers of all members that occur more than once in their object."""
    return list(_repeated(_read(raw, _Members), "")) if repeats_names(raw) else []


def _read(raw: bytes | msgspec.Raw, on_object: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    # Numbers stay text: Python refuses to read integers of more than 4,300 digits.
    return json.loads(
        bytes(raw).decode(), object_pairs_hook=on_object, parse_int=str, parse_float=str, parse_constant=str
    )


class _Members(dict[str, Any]):
    """An object's members; ``again`` are the names that occur more than once."""

    __slots__ = ("again",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(self) != len(pairs) else {}
        self.again = [name for name, count in counts.items() if count > 1]


def _repeated(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, _Members):
        for name in value.again:
            yield f"{pointer}/{escape(name)}"
        for name, inner in value.items():
            yield from _repeated(inner, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _repeated(inner, f"{pointer}/{index}")
