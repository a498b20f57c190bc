"""What an event has and its schema does not know: set aside, so that nothing is lost and drift can be counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from weir_common.events.document import MAX_DEPTH, TOO_DEEP, escape, is_deeper
from weir_common.events.faults import fits
from weir_common.events.rejection import EventRejected
from weir_common.events.shape import ListOf, Member, ObjectOf, Shape
from weir_common.events.versions import is_newer
from weir_common.problems import FieldError

MAX_TEMPLATES: Final = 50
"""Different places counted per event: a sender who makes up names must not make up as many time series."""


MAX_FIELDS: Final = 1_000
"""Each is kept with its pointer, so more would make an event grow beyond what the log takes."""

TOO_MANY: Final = FieldError("", f"at most {MAX_FIELDS} unknown fields", "more")


@dataclass(slots=True)
class Unknown:
    """``fields`` by pointer into the event, all of them; ``templates`` with indexes as ``*``, each once, at most MAX_TEMPLATES."""

    fields: dict[str, msgspec.Raw] = field(default_factory=dict)
    templates: dict[str, None] = field(default_factory=dict)

    def add(self, path: list[str | int], value: Any) -> None:
        """Keep one value; `EventRejected` if there are too many, or it is nested too deep for those who read it later."""
        if len(self.fields) == MAX_FIELDS:
            raise EventRejected([TOO_MANY])
        if is_deeper(value, MAX_DEPTH - len(path)):
            raise EventRejected([TOO_DEEP])
        tokens = [str(step) if isinstance(step, int) else escape(step) for step in path]
        self.fields["/" + "/".join(tokens)] = msgspec.Raw(msgspec.json.encode(value))
        if len(self.templates) < MAX_TEMPLATES:
            tokens = ["*" if isinstance(step, int) else token for step, token in zip(path, tokens, strict=True)]
            self.templates["/" + "/".join(tokens)] = None


def set_aside(document: dict[str, Any], shape: ObjectOf, version: str) -> Unknown:
    """Take out of ``document`` all that ``version`` does not know.

    A member that a later version brought stays where it is if its value is what the later version asks for.
    """
    unknown = Unknown()
    _set_aside(document, shape, version, [], unknown)
    return unknown


def _set_aside(value: Any, shape: Shape, version: str, path: list[str | int], unknown: Unknown) -> None:
    # One path for the whole walk, since most of the time nobody asks for it.
    if isinstance(shape, ObjectOf):
        if not isinstance(value, dict):
            return  # a fault, which decoding will find
        if not value.keys() <= shape.members.keys():
            for name in sorted(value.keys() - shape.members.keys()):
                unknown.add([*path, name], value.pop(name))
        for name, member in shape.newer.items():
            if name in value and _is_newer(member, version) and not fits(value[name], member):
                unknown.add([*path, name], value.pop(name))
        for name, member in shape.parts.items():
            if name in value:
                path.append(name)
                _set_aside(value[name], member.shape, version, path, unknown)
                path.pop()
    elif isinstance(shape, ListOf) and isinstance(value, list):
        for index, item in enumerate(value):
            path.append(index)
            _set_aside(item, shape.item, version, path, unknown)
            path.pop()


def _is_newer(member: Member, version: str) -> bool:
    return member.since is not None and is_newer(member.since, version)
