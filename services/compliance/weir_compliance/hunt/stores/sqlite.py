"""A store in a SQLite file: every column of every row, and the file with its journal, where deleted rows still are."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from weir_compliance.hunt.files import as_they_come, file_pieces, files_below, unpacked
from weir_compliance.hunt.ports import Piece, UnreadableError

_SECONDS: Final = 10.0


class SqliteStore:
    """Temporal's own store, the trace store: a folder with one database in it, which may be in use."""

    def __init__(self, name: str, database: Path) -> None:
        self.name = name
        self._database = database

    def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        return as_they_come(self._pieces(overlap))

    def _pieces(self, overlap: int) -> Iterator[Piece]:
        if not self._database.is_file():
            raise UnreadableError(f"{self._database} does not exist")
        yield from self._rows(overlap)
        for path in files_below(self._database.parent):
            yield from file_pieces(path, f"file {path.name}", overlap)

    def _rows(self, overlap: int) -> Iterator[Piece]:
        address = f"{self._database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_SECONDS)) as connection:
            connection.text_factory = bytes  # text that is no UTF-8 is looked through, too
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
            for (raw,) in tables:
                table = raw.decode()
                quoted = '"' + table.replace('"', '""') + '"'
                rows = connection.execute(f"SELECT * FROM {quoted}")  # noqa: S608 - quoted name
                columns = [column[0] for column in rows.description]
                for number, row in enumerate(rows):
                    for index, (column, value) in enumerate(zip(columns, row, strict=True)):
                        data = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
                        yield Piece(f"{table}.{column}", f"row {number}", data, unit=index == 0)
                        yield from unpacked(data, f"{table}.{column}", f"row {number}", overlap)
