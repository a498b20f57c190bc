"""Plain values held against a shape: where they differ, what is right, and what came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from weir_common.events import ranges
from weir_common.events.document import MAX_SHOWN, shown
from weir_common.events.shape import Leaf, ListOf, Member, ObjectOf, Shape
from weir_common.events.versions import SCHEMA_VERSION, SCHEMA_VERSIONS, is_newer
from weir_common.http import field_error
from weir_common.problems import FieldError

_PATTERN_END: Final = r"(?!\\n)"  # says in Python what `$` says in JSON Schema
_LEAP_SECOND: Final = "an RFC 3339 date-time without leap second: send :59.999999"


def faults_of(value: Any, shape: Shape, version: str, pointer: str = "") -> Iterator[FieldError]:
    """The faults of one value of a document and of all below it. Unknown members are none, nor are members newer than ``version``."""
    match shape:
        case ObjectOf(members) if isinstance(value, dict):
            for name, member in members.items():
                yield from _faults_of_member(value, name, member, version, pointer)
        case ListOf(item) if isinstance(value, list):
            for index, one in enumerate(value):
                yield from faults_of(one, item, version, f"{pointer}/{index}")
        case Leaf():
            yield from _faults_of_leaf(value, shape, pointer)
        case _:
            yield FieldError(pointer, "object" if isinstance(shape, ObjectOf) else "array", shown(value))


def fits(value: Any, member: Member) -> bool:
    """Whether a value is one that the newest version allows for the member."""
    if value is None:
        return member.nullable
    return next(faults_of(value, member.shape, SCHEMA_VERSION), None) is None


def _faults_of_member(
    members: dict[str, Any], name: str, member: Member, version: str, pointer: str
) -> Iterator[FieldError]:
    where = f"{pointer}/{name}"
    if name not in members:
        if member.required:
            yield FieldError(where, "a value (required)", "nothing")
    elif where == "/schema_version":
        if members[name] not in SCHEMA_VERSIONS:
            yield FieldError(where, _one_of(SCHEMA_VERSIONS), shown(members[name]))
    elif member.since is not None and is_newer(member.since, version):
        return  # to that version it is an unknown member, whatever its value
    elif not (member.nullable and members[name] is None):
        yield from faults_of(members[name], member.shape, version, where)


def _faults_of_leaf(value: Any, leaf: Leaf, pointer: str) -> Iterator[FieldError]:
    if isinstance(value, msgspec.Raw) or not isinstance(value, dict | list):
        try:
            decoded = leaf.decoder.decode(msgspec.json.encode(value))
        except msgspec.ValidationError as error:
            yield _explained(field_error(error), value, leaf, pointer)
            return
        if isinstance(decoded, Decimal) and not ranges.is_amount(decoded):
            yield FieldError(pointer, ranges.AMOUNT, shown(value))
        if isinstance(decoded, datetime) and not ranges.is_instant(decoded):
            yield FieldError(pointer, ranges.INSTANT, shown(value))
    else:
        yield FieldError(pointer, "one value", "object" if isinstance(value, dict) else "array")


def _explained(error: FieldError, value: Any, leaf: Leaf, pointer: str) -> FieldError:
    expected = error.expected.replace(_PATTERN_END, "")
    if leaf.choices:
        expected = _one_of(leaf.choices)
    elif isinstance(value, str) and ":60" in value and "date-time" in expected:
        expected = _LEAP_SECOND
    return FieldError(pointer, expected, (error.got or shown(value))[:MAX_SHOWN])


def _one_of(choices: tuple[str, ...]) -> str:
    return "one of " + ", ".join(choices)
