"""Payment card numbers, found in texts and in sealed values so that none is ever kept (PCI DSS 3.3 and 3.5.1).

A card number has 13 to 19 digits, begins as the brands' numbers do (ISO/IEC 7812) and passes Luhn's check. One in ten other numbers
passes the check, so the beginning and the length are asked for too: timestamps in milliseconds and article numbers (GTIN) are none.
Only the last four digits are kept, which PCI DSS allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SEPARATORS: Final = " -._+"
# Every digit as 0, all else as x, separators gone: a long number is then a run of zeros, which `in` finds in no time.
_DIGITS_AS_ZEROS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_DROPPED: Final = _SEPARATORS.encode()
_SHORTEST: Final = b"0" * 13
_RUN: Final = re.compile(r"[0-9](?:[ \-._+]?[0-9]){12,}")
_GROUP: Final = re.compile(r"[0-9]+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_MOST_DIGITS: Final = 19
_FIRST_GROUP: Final = frozenset({4, 6, 8, *range(13, _MOST_DIGITS + 1)})
"""How cards are written, whole or in groups: 4-4-4-4, 4-6-5, 6-13, 8-8. Order numbers of 3-7-7 digits are none."""


def may_hold_card_number(text: bytes) -> bool:
    """Whether there are 13 digits in a row, separators aside; cheap, and wrong only in saying yes."""
    return _SHORTEST in text.translate(_DIGITS_AS_ZEROS, _DROPPED)


def without_card_numbers(text: str) -> str:
    """The text with each card number as ``[card …1234]``."""
    if not may_hold_card_number(text.encode()):
        return text
    pieces: list[str] = []
    done = 0
    for start, end in card_numbers(text):
        digits = [character for character in text[start:end] if character.isdigit()]
        pieces += (text[done:start], f"[card …{''.join(digits[-4:])}]")
        done = end
    pieces.append(text[done:])
    return "".join(pieces)


def card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers begin and end, from left to right. They may be written in groups, but begin and end with one."""
    readable = without_uuids(text)
    for run in _RUN.finditer(readable):
        groups = [group.span() for group in _GROUP.finditer(readable, run.start(), run.end())]
        first = 0
        while first < len(groups):
            last = _card_from(readable, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def without_uuids(text: str) -> str:
    """The text with UUIDs blotted out, every character where it was."""
    return _UUID.sub(lambda found: "u" * len(found.group()), text) if "-" in text else text


def _card_from(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The group at whose end a card number ends that begins with group ``first``; the longest one."""
    if groups[first][1] - groups[first][0] not in _FIRST_GROUP:
        return None
    digits = ""
    found = None
    for last in range(first, len(groups)):
        start, end = groups[last]
        digits += text[start:end]
        if len(digits) > _MOST_DIGITS:
            break
        if is_card_number(digits):
            found = last
    return found


def is_card_number(digits: str) -> bool:
    """Whether ASCII digits are the number of a card: length and beginning of a brand, and Luhn's check."""
    return _is_issued(digits) and _passes_luhn(digits)


def _is_issued(digits: str) -> bool:
    match len(digits):
        case 13:
            return digits[0] == "4"
        case 14:
            return digits[:2] in ("30", "36", "38", "39")
        case 15:
            return digits[:2] in ("34", "37")
        case 16 | 19:
            return digits[0] in "23456" or digits[:2] in ("81", "82", "97")
        case 17 | 18:
            return digits[0] in "56" or digits[:2] in ("22", "30", "35", "36", "38", "39")
        case _:
            return False


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - 0x30
        total += _DOUBLED[value] if place % 2 else value
    return total % 10 == 0
