"""Whether a newer schema takes every event that an older one takes. Held to in CI, for the newest and the one before it.

What is compared is what a sender was promised, so a new optional member is no break, though an older event may by chance have
had an unknown member of that name: `decode_event` reads such a one as unknown if it does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SAME: Final = ("pattern", "format", "multipleOf", "uniqueItems")
_TYPE_OF: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_ALL_TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Every way in which an instance of ``old`` may be refused by ``new``: a pointer and what changed. Empty if none.

    ``schema_version`` is left out, since each version has its own.
    """
    return list(dict.fromkeys(_Comparison(old, new).of(old, new, "")))


class _Comparison:
    """Two documents, for their references."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new

    def of(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        for one in old.get("anyOf", [old]):
            faults = [list(self._plain(one, other, where)) for other in new.get("anyOf", [new])]
            if all(faults):
                yield from self._nearest(one, faults, new, where)

    def _nearest(self, one: Schema, faults: list[list[str]], new: Schema, where: str) -> Iterator[str]:
        """The faults against the alternative that is meant, which is the one of the same type."""
        kinds = _types(_resolved(one, self._old))
        for other, found in zip(new.get("anyOf", [new]), faults, strict=True):
            if kinds & _types(_resolved(other, self._new)):
                yield from found
                return
        yield f"{where or '/'}: no longer {_listed(kinds)}"

    def _plain(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        here = where or "/"
        if gone := _types(old) - _types(new):
            yield f"{here}: no longer {_listed(gone)}"
        if (allowed := _values(new)) is not None:
            before = _values(old)
            if before is None:
                yield f"{here}: restricted to {_listed(allowed)}"
            elif lost := before - allowed:
                yield f"{here}: no longer {_listed(lost)}"
        yield from _narrower_ranges(old, new, here)
        yield from self._members(old, new, where)
        if "items" in new:
            yield from self.of(old.get("items", {}), new["items"], f"{where}/*")

    def _members(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        here = where or "/"
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield f"{where}/{name}: is now required"
        if new.get("additionalProperties", True) is False and old.get("additionalProperties", True) is not False:
            yield f"{here}: unknown fields are no longer allowed"
        members = new.get("properties", {})
        for name, before in old.get("properties", {}).items():
            pointer = f"{where}/{name}"
            if pointer == "/schema_version":
                continue
            if name not in members:
                yield f"{pointer}: is gone"
            else:
                yield from self.of(before, members[name], pointer)


def _narrower_ranges(old: Schema, new: Schema, here: str) -> Iterator[str]:
    for key in _UPPER:
        if key in new and not (key in old and old[key] <= new[key]):
            yield f"{here}: {key} is now {new[key]}, was {old.get(key, 'none')}"
    for key in _LOWER:
        if key in new and not (key in old and old[key] >= new[key]):
            yield f"{here}: {key} is now {new[key]}, was {old.get(key, 'none')}"
    for key in _SAME:
        if key in new and new[key] != old.get(key):
            yield f"{here}: {key} is now {new[key]}, was {old.get(key, 'none')}"


def _resolved(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _types(schema: Schema) -> frozenset[str]:
    if "type" not in schema:
        values = _values(schema)
        return _ALL_TYPES if values is None else frozenset(_TYPE_OF[type(value)] for value in values)
    kinds = schema["type"]
    found = frozenset([kinds] if isinstance(kinds, str) else kinds)
    return found | {"integer"} if "number" in found else found


def _values(schema: Schema) -> frozenset[Any] | None:
    if "const" in schema:
        return frozenset([schema["const"]])
    return frozenset(schema["enum"]) if "enum" in schema else None


def _listed(values: frozenset[Any]) -> str:
    return ", ".join(sorted(map(str, values)))
