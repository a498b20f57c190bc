"""The Iceberg lake on a file system: every file in the folder, whether a snapshot refers to it or not."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from weir_compliance.hunt.files import as_they_come, carved_zstd, file_pieces, files_below, unpacked
from weir_compliance.hunt.ports import Piece

_ROWS: Final = 512


class Lake:
    """Parquet: every value, every statistic. Avro: every member of every record, which is where bounds of columns are."""

    name = "lake"

    def __init__(self, folder: Path, changed_since: float = 0.0) -> None:
        """`changed_since`: only files of this Unix time or later, for who waits for something to arrive."""
        self._folder = folder
        self._changed_since = changed_since

    def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        return as_they_come(self._files(overlap))

    def _files(self, overlap: int) -> Iterator[Piece]:
        for path in files_below(self._folder):
            if self._changed_since and _changed_at(path) < self._changed_since:
                continue
            # One group a kind of file: their names are random, and there are thousands.
            relative = str(path.relative_to(self._folder))
            kind = path.suffix.lstrip(".") or "other"
            for piece in file_pieces(path, f"{kind} files", overlap):
                yield Piece(piece.where, f"{relative} {piece.at}", piece.data, piece.repeated, piece.unit)
            try:
                if kind == "parquet":
                    yield from _parquet(path, relative, overlap)
                elif kind == "avro":
                    yield from _avro(path, relative, overlap)
            except FileNotFoundError:
                continue  # expired meanwhile


def _parquet(path: Path, relative: str, overlap: int) -> Iterator[Piece]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid:
        # Its writer is at work, or died: without a footer the columns are not known, but the compressed pages are there.
        for piece in carved_zstd(path.read_bytes(), "parquet without footer"):
            yield Piece(piece.where, f"{relative} {piece.at}", piece.data, piece.repeated, piece.unit)
        return
    with file:
        yield from _footer(file, relative)
        row = 0
        for batch in file.iter_batches(batch_size=_ROWS):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                where = f"parquet column {name}"
                for number, value in enumerate(column.to_pylist(), row):
                    yield from _value(value, where, f"{relative} row {number}", overlap)
            row += batch.num_rows


def _footer(file: Any, relative: str) -> Iterator[Piece]:
    metadata = file.metadata
    for key, value in (metadata.metadata or {}).items():
        yield Piece("parquet footer", f"{relative} {key.decode(errors='replace')}", value)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            statistics = column.statistics
            if statistics is not None and statistics.has_min_max:
                for bound in (statistics.min, statistics.max):
                    at = f"{relative} row group {group}"
                    yield Piece(f"parquet statistics {column.path_in_schema}", at, _bytes(bound))


def _avro(path: Path, relative: str, overlap: int) -> Iterator[Piece]:
    with path.open("rb") as file:
        reader = fastavro.reader(io.BytesIO(file.read()))
        for key, value in reader.metadata.items():
            yield Piece("avro header", f"{relative} {key}", _bytes(value))
        for number, record in enumerate(reader):
            yield from _value(record, "avro", f"{relative} record {number}", overlap)


def _value(value: Any, where: str, at: str, overlap: int) -> Iterator[Piece]:
    """Leaves of nested values, each for itself; the group names the member."""
    if value is None:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _value(name, f"{where} names", at, overlap)
            yield from _value(inner, f"{where} {name}", at, overlap)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _value(inner, where, at, overlap)
    else:
        data = _bytes(value)
        yield Piece(where, at, data)
        yield from unpacked(data, where, at, overlap)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
