"""How many quotation marks an event's text has, without writing the text: for `repeated_names`, which asks of every event.

Written out once as Python from the event's structs, as `weir_common.privacy.compile_protection` does: this takes less than half of
the time of encoding the event and counting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from msgspec import inspect

from weir_common.events.event import Event
from weir_common.events.part import LOG_ONLY

_QUOTED: Final = (inspect.StrType, inspect.LiteralType, inspect.UUIDType, inspect.DateTimeType)
_BARE: Final = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.DecimalType)
_NAME: Final = 2
_TEXT: Final = 2


def _compiled() -> Callable[[Event], int]:
    lines = ["def count(event):", "    n = 0"]
    lines += ["    " + line for line in _part(inspect.type_info(Event), "event", 0)]
    lines += ["    return n"]
    names: dict[str, object] = {}
    exec(compile("\n".join(lines), f"<quotation marks of {Event.__qualname__}>", "exec"), names)  # noqa: S102 - see the module
    return cast(Callable[[Event], int], names["count"])


def _part(kind: Any, part: str, depth: int) -> Iterator[str]:
    """Lines that add the marks of a part, its own braces left out."""
    always = 0
    for field in kind.fields:
        inner, log_only = _inner(field.type)
        if log_only:
            continue
        value = f"{part}.{field.name}"
        if not field.required and field.default is not None:
            raise TypeError(f"{kind.cls.__name__}.{field.name}: left out if it has another value than None")
        below = f"part_{depth + 1}"
        match inner:
            case inspect.StructType():
                lines = [f"{below} = {value}", f"if {below} is not None:", f"    n += {_NAME}"]
                lines += ["    " + line for line in _part(inner, below, depth + 1)]
            case inspect.ListType(item_type=item):
                lines = [
                    f"{below} = {value}",
                    f"if {below} is not None:",
                    f"    n += {_NAME}{_items(item, below, depth)}",
                ]
                if isinstance(item, inspect.StructType):
                    lines += [f"    for item_{depth} in {below}:"]
                    lines += ["        " + line for line in _part(item, f"item_{depth}", depth + 1)]
            case _ if field.required:
                always += _NAME + _marks(inner)
                continue
            case _:
                lines = [f"if {value} is not None: n += {_NAME + _marks(inner)}"]
        yield from lines
    if always:
        yield f"n += {always}"


def _items(item: Any, items: str, depth: int) -> str:
    inner, _ = _inner(item)
    if isinstance(inner, inspect.StructType):
        return ""
    return f" + {_TEXT} * len({items})" if _marks(inner) else ""


def _inner(kind: Any) -> tuple[Any, bool]:
    """The type without its marks and without null, and whether only the log has it."""
    log_only = False
    while isinstance(kind, inspect.Metadata):
        log_only = log_only or LOG_ONLY in (kind.extra or {})
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        if len(kinds) != 1:
            raise TypeError(f"a choice of types: {kinds}")
        inner, inner_log_only = _inner(kinds[0])
        return inner, log_only or inner_log_only
    return kind, log_only


def _marks(kind: Any) -> int:
    if isinstance(kind, _QUOTED):
        return _TEXT
    if isinstance(kind, _BARE):
        return 0
    raise TypeError(f"how many quotation marks has {kind}?")


quotation_marks_of: Final = _compiled()
"""Of the text that `encode_event` makes of an event without members that only the log has, if no text in it has a quotation mark."""
