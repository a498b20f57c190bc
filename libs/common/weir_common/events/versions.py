"""The versions that senders may use, oldest first, and the structs that read them."""

from __future__ import annotations

from typing import Final, Literal, get_args

from weir_common.events import version_2_0
from weir_common.events.event import Event
from weir_common.events.part import Part

SchemaVersion = Literal["2.0", "2.1", "2.2"]

SCHEMA_VERSIONS: Final[tuple[SchemaVersion, ...]] = get_args(SchemaVersion)
SCHEMA_VERSION: Final[SchemaVersion] = "2.2"
"""The newest: what stands on the log."""

STRUCT_OF: Final[dict[str, type[Part]]] = {"2.0": version_2_0.Event, "2.1": Event, "2.2": Event}


def is_newer(version: str, than: str) -> bool:
    """Whether ``version`` came after ``than``; both are known versions."""
    order: tuple[str, ...] = SCHEMA_VERSIONS
    return order.index(version) > order.index(than)
