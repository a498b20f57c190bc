"""Every fault of an event, not only the first. Slow, so only asked about events that are known to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

import msgspec

from weir_common.events.document import MAX_DEPTH, TOO_DEEP, document_of, is_deeper
from weir_common.events.faults import faults_of
from weir_common.events.rejection import EventRejected
from weir_common.events.repeated_names import repeated_names
from weir_common.events.shape import ObjectOf, shape_of
from weir_common.events.unknown import set_aside
from weir_common.events.upcast import GEOLOCATION, half_a_coordinate
from weir_common.events.versions import SCHEMA_VERSION, SCHEMA_VERSIONS, STRUCT_OF
from weir_common.problems import FieldError

MAX_ERRORS: Final = 50
"""A list of ten thousand wrong numbers is told by its first fifty."""


def errors_of(raw: bytes | msgspec.Raw) -> list[FieldError]:
    """All that is wrong with an event's text, at most MAX_ERRORS, in the schema's order; empty if it is a valid event."""
    try:
        document = document_of(raw)
    except EventRejected as rejected:
        return list(rejected.errors)
    if is_deeper(document, MAX_DEPTH):
        return [TOO_DEEP]
    version = document.get("schema_version")
    if version not in SCHEMA_VERSIONS:
        version = SCHEMA_VERSION  # its own fault is found below; the rest is judged by the newest
    shape = shape_of(STRUCT_OF[version])
    faults = chain(
        faults_of(document, shape, version),
        _faults_across_fields(document, version),
        (FieldError(pointer, "a name that occurs once", "the name again") for pointer in repeated_names(raw)),
        _faults_of_the_rest(document, shape, version),
    )
    return list(islice(faults, MAX_ERRORS))


def _faults_across_fields(document: dict[str, Any], version: str) -> Iterator[FieldError]:
    if version == "2.0":
        place: Any = document
        for name in GEOLOCATION.split("/")[1:]:
            place = place.get(name) if isinstance(place, dict) else None
        fault = half_a_coordinate(place.get("lat"), place.get("lon")) if isinstance(place, dict) else None
        if fault is not None:
            yield fault


def _faults_of_the_rest(document: dict[str, Any], shape: ObjectOf, version: str) -> Iterator[FieldError]:
    try:
        set_aside(document, shape, version)
    except EventRejected as rejected:
        yield from rejected.errors
