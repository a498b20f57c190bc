"""The annotations of the event's structs, written out once as Python that visits exactly what they name.

Walking the annotations anew for each event would take ten times as long as this straight line of attribute accesses, the way that
`dataclasses` and `attrs` make their methods. What is written depends on our own structs only, never on data.

Parts are copied from the changed leaf up to the event, and nothing else is: the event that comes in stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from msgspec import inspect

from weir_common.events.event import Event
from weir_common.events.part import LOG_ONLY
from weir_common.events.privacy import FieldPrivacy, Namespace
from weir_common.privacy.coarse_places import PARTS_OF_A_DEGREE
from weir_common.privacy.identifiers import KIND_OF_FIELD, Identifier
from weir_common.privacy.link_tokens import MAX_TOKEN_CHARACTERS, NAMESPACES
from weir_common.privacy.ports import Subject

Make = Callable[[str], str]
Write = Callable[["_Leaf", str], Iterator[str]]


class TakeOut(Protocol):
    """The event without its identifiers. ``texts`` and ``numbers`` receive the originals by pointer, ``scanned`` the free texts.

    ``subjects`` are those of the event by identifier, ``tokens`` make the token of a value by namespace.
    """

    def __call__(
        self,
        event: Event,
        subjects: Mapping[Identifier, Subject],
        tokens: Mapping[Namespace, Make],
        texts: dict[str, str],
        numbers: dict[str, float],
        scanned: list[str],
    ) -> Event: ...


class Clean(Protocol):
    """The event with its free texts as ``cleaned`` gives them; ``texts`` receives the originals of those that changed."""

    def __call__(self, event: Event, cleaned: Make, texts: dict[str, str]) -> Event: ...


@dataclass(frozen=True, slots=True)
class _Leaf:
    name: str
    pointer: str
    """As Python text: a literal, or an f-string with the indexes of the lists above."""
    policy: FieldPrivacy
    kind: Any
    part: str
    copy: str


def take_out_identifiers() -> TakeOut:
    """Compiled: handlings subject, token, sealed and coarse; scanned texts are only gathered."""
    lines = ["def take_out(event, subjects, tokens, texts, numbers, scanned):"]
    lines += [f"    token_{namespace} = tokens[{namespace!r}]" for namespace in NAMESPACES]
    lines += _indented(_part(inspect.type_info(Event), "event", "", 0, _identifier))
    lines += ["    return event if copy_0 is None else copy_0"]
    return cast(TakeOut, _function("take_out", lines))


def clean_free_texts() -> Clean:
    """Compiled: handling scanned."""
    lines = ["def clean(event, cleaned, texts):"]
    lines += _indented(_part(inspect.type_info(Event), "event", "", 0, _scanned))
    lines += ["    return event if copy_0 is None else copy_0"]
    return cast(Clean, _function("clean", lines))


def _function(name: str, lines: list[str]) -> object:
    names: dict[str, object] = {}
    exec(compile("\n".join(lines), f"<{name} of {Event.__qualname__}>", "exec"), names)  # noqa: S102 - see the module
    return names[name]


def _indented(lines: Iterator[str] | list[str]) -> list[str]:
    return ["    " + line for line in lines]


def _part(kind: Any, part: str, pointer: str, depth: int, write: Write) -> Iterator[str]:
    """Lines that leave a changed copy of ``part`` in ``copy_{depth}``, or None there."""
    copy = f"copy_{depth}"
    yield f"{copy} = None"
    for field in kind.fields:
        if _is_log_only(field.type):
            continue
        inner, policy = _member(field.type)
        where = f"{pointer}/{field.encode_name}"
        value = f"{part}.{field.name}"
        changed = [f"if {copy} is None: {copy} = {part}.__copy__()"]
        match inner:
            case inspect.StructType():
                below = list(_part(inner, f"part_{depth + 1}", where, depth + 1, write))
                if len(below) > 1:
                    yield f"part_{depth + 1} = {value}"
                    yield f"if part_{depth + 1} is not None:"
                    yield from _indented(below)
                    yield f"    if copy_{depth + 1} is not None:"
                    yield from _indented(_indented([*changed, f"{copy}.{field.name} = copy_{depth + 1}"]))
            case inspect.ListType(item_type=item):
                item, item_policy = _member(item)
                if isinstance(item, inspect.StructType):
                    yield from _list(
                        item, value, where, depth, write, [*changed, f"{copy}.{field.name} = items_{depth}"]
                    )
                elif (either := item_policy or policy) is None or either.handling != "open":
                    raise TypeError(f"{where}: a list of values can only be open")
            case _ if policy is None:
                raise TypeError(f"{where}: a leaf without a policy")
            case _:
                literal = ("f" if "{" in where else "") + repr(where)
                yield from write(_Leaf(field.name, literal, policy, field.type, part, copy), value)


def _list(item: Any, value: str, where: str, depth: int, write: Write, changed: list[str]) -> Iterator[str]:
    index = f"index_{depth}"
    below = list(_part(item, f"part_{depth + 1}", f"{where}/{{{index}}}", depth + 1, write))
    if len(below) == 1:
        return
    yield f"list_{depth} = {value}"
    yield f"if list_{depth}:"
    yield f"    items_{depth} = None"
    yield f"    for {index}, part_{depth + 1} in enumerate(list_{depth}):"
    yield from _indented(_indented(below))
    yield f"        if copy_{depth + 1} is not None:"
    yield f"            if items_{depth} is None: items_{depth} = list_{depth}.copy()"
    yield f"            items_{depth}[{index}] = copy_{depth + 1}"
    yield f"    if items_{depth} is not None:"
    yield from _indented(_indented(changed))


def _identifier(leaf: _Leaf, value: str) -> Iterator[str]:
    policy = leaf.policy
    replaced = "None"
    match policy.handling:
        case "open":
            return
        case "scanned":
            yield f"value = {value}"
            yield "if value: scanned.append(value)"
            return
        case "subject":
            _room_for_text(leaf, MAX_TOKEN_CHARACTERS)
            replaced = f"subjects[{KIND_OF_FIELD[leaf.name] + chr(0)!r} + value].subject_id"
        case "token":
            _room_for_text(leaf, MAX_TOKEN_CHARACTERS)
            replaced = f"token_{policy.namespace}(value)"
        case "sealed":
            if not _allows_none(leaf.kind):
                raise TypeError(f"{leaf.pointer}: what is sealed leaves None, which the type must allow")
        case "coarse":
            yield f"value = {value}"
            yield "if value is not None:"
            # `coarse`, in line. Rounding to a whole number is four times as fast as to a digit after the point.
            yield f"    rounded = round(value * {PARTS_OF_A_DEGREE}) / {PARTS_OF_A_DEGREE}"
            yield "    if rounded != value:"
            yield f"        numbers[{leaf.pointer}] = value"
            yield from _indented(_indented(_set(leaf, "rounded")))
            return
    yield f"value = {value}"
    yield "if value:"
    yield f"    texts[{leaf.pointer}] = value"
    yield from _indented(_set(leaf, replaced))


def _scanned(leaf: _Leaf, value: str) -> Iterator[str]:
    if leaf.policy.handling != "scanned":
        return
    # A placeholder may be longer than what it stands for, and consumers hold the field to its length.
    most = _most_characters(leaf)
    yield f"value = {value}"
    yield "if value:"
    yield "    found = cleaned(value)"
    yield "    if found != value:"
    yield f"        texts[{leaf.pointer}] = value"
    yield from _indented(_indented(_set(leaf, f"found[:{most}]")))


def _set(leaf: _Leaf, replaced: str) -> list[str]:
    return [f"if {leaf.copy} is None: {leaf.copy} = {leaf.part}.__copy__()", f"{leaf.copy}.{leaf.name} = {replaced}"]


def _room_for_text(leaf: _Leaf, characters: int) -> None:
    """`TypeError` unless any text of so many characters may stand in the field."""
    if _most_characters(leaf) < characters:
        raise TypeError(f"{leaf.pointer}: has no room for {characters} characters")


def _most_characters(leaf: _Leaf) -> int:
    kind = leaf.kind
    while not isinstance(kind, inspect.StrType):
        match kind:
            case inspect.Metadata(type=inner):
                kind = inner
            case inspect.UnionType(types=types):
                (kind,) = (one for one in types if not isinstance(one, inspect.NoneType))
            case _:
                raise TypeError(f"{leaf.pointer}: is no text")
    if kind.pattern is not None or kind.max_length is None:
        raise TypeError(f"{leaf.pointer}: must take any text up to some length")
    return kind.max_length


def _allows_none(kind: Any) -> bool:
    match kind:
        case inspect.Metadata(type=inner):
            return _allows_none(inner)
        case inspect.UnionType(includes_none=includes):
            return bool(includes)
        case _:
            return False


def _is_log_only(kind: Any) -> bool:
    return isinstance(kind, inspect.Metadata) and LOG_ONLY in (kind.extra or {})


def _member(kind: Any, policy: FieldPrivacy | None = None) -> tuple[Any, FieldPrivacy | None]:
    """The type of a member without its marks and None, and its policy."""
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            return _member(inner, (extra or {}).get("privacy", policy))
        case inspect.UnionType(types=types):
            (inner,) = (one for one in types if not isinstance(one, inspect.NoneType))
            return _member(inner, policy)
        case _:
            return kind, policy
