"""A folder of files as they lie there, gzip and zstd opened: logs, export archives, and whatever else a mesh writes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from weir_compliance.hunt.files import as_they_come, file_pieces, files_below
from weir_compliance.hunt.ports import Piece


class Folder:
    """`without`: names of folders below it that are stores of their own."""

    def __init__(self, name: str, folder: Path, without: frozenset[str] = frozenset()) -> None:
        self.name = name
        self._folder = folder
        self._without = without

    def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        return as_they_come(self._files(overlap))

    def _files(self, overlap: int) -> Iterator[Piece]:
        for path in files_below(self._folder):
            relative = path.relative_to(self._folder)
            if relative.parts[0] not in self._without:
                # The name of a file is a value, too.
                yield Piece(
                    f"{self.name} names", str(relative), str(relative).encode("utf-8", "surrogateescape"), unit=False
                )
                yield from file_pieces(path, str(relative), overlap)
