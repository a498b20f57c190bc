"""A version's structs as a tree that plain JSON can be held against, member by member."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union

import msgspec

from weir_common.events.part import LOG_ONLY, SINCE, Part


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value. ``decoder`` knows its type and range, ``choices`` are all its values if they are few."""

    kind: Any
    decoder: msgspec.json.Decoder[Any]
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Shape


@dataclass(frozen=True, slots=True)
class Member:
    """``since`` is the version that brought it, if a later one than the struct's first."""

    shape: Shape
    required: bool
    nullable: bool
    since: str | None


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """``newer`` are the members with a ``since``, ``parts`` those in which there are further objects."""

    members: dict[str, Member]
    newer: dict[str, Member]
    parts: dict[str, Member]


Shape = Leaf | ListOf | ObjectOf


@cache
def shape_of(struct: type[Part]) -> ObjectOf:
    """The tree below a struct, without members that only the log has."""
    hints = typing.get_type_hints(struct, include_extras=True)
    members: dict[str, Member] = {}
    for field in msgspec.structs.fields(struct):
        marks = _marks(hints[field.name])
        if LOG_ONLY not in marks:
            shape, nullable = _read(hints[field.name])
            members[field.encode_name] = Member(shape, field.required, nullable, marks.get(SINCE))
    return ObjectOf(
        members,
        newer={name: member for name, member in members.items() if member.since is not None},
        parts={name: member for name, member in members.items() if _has_objects(member.shape)},
    )


def leaves(shape: Shape, pointer: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf with its pointer template, list indexes as ``*``."""
    match shape:
        case Leaf():
            yield pointer, shape
        case ListOf(item):
            yield from leaves(item, pointer + "/*")
        case ObjectOf(members):
            for name, member in members.items():
                yield from leaves(member.shape, f"{pointer}/{name}")


def _marks(hint: Any) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    for mark in getattr(hint, "__metadata__", ()):
        marks |= mark.extra or {}
    return marks


def _read(hint: Any) -> tuple[Shape, bool]:
    inner = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if typing.get_origin(inner) in (Union, types.UnionType):
        (one,) = (kind for kind in typing.get_args(inner) if kind is not types.NoneType)
        return _read(one)[0], True
    if typing.get_origin(inner) is list:
        return ListOf(_read(typing.get_args(inner)[0])[0]), False
    if isinstance(inner, type) and issubclass(inner, Part):
        return shape_of(inner), False
    choices = typing.get_args(inner) if typing.get_origin(inner) is Literal else ()
    return Leaf(inner, msgspec.json.Decoder(hint), choices), False


def _has_objects(shape: Shape) -> bool:
    match shape:
        case ListOf(item):
            return _has_objects(item)
        case ObjectOf():
            return True
        case _:
            return False
