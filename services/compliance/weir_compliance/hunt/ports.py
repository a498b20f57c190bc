"""What the hunter needs of a store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class UnreadableError(Exception):
    """A store, or a part of it, cannot be looked through: it is never "clean". The text says what and why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Decoded bytes that are looked through at once.

    ``where`` groups (a topic's values, a column, a file), ``at`` is the place in it (partition and offset, row, byte). The first
    ``repeated`` bytes were in the piece before, so that nothing is cut in two. ``unit``: it begins a record, a cell or a file.
    """

    where: str
    at: str
    data: bytes
    repeated: int = 0
    unit: bool = True


class Store(Protocol):
    """One store of the mesh. ``overlap`` is the length of the longest spelling, in bytes."""

    @property
    def name(self) -> str: ...

    def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        """Everything in it, decoded. Raises `UnreadableError`, or what its client raises, if it cannot be read to the end."""
        ...
