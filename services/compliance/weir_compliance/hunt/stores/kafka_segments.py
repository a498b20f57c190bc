"""Kafka's files: what retention has not deleted yet though no consumer gets it any more.

Each file is searched as it lies there, and the batches of each segment are decompressed one by one.
"""

import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from aiokafka.record import MemoryRecords

from weir_compliance.hunt.files import as_they_come, file_pieces, files_below
from weir_compliance.hunt.ports import Piece, UnreadableError

_FRAME: Final = struct.Struct(">qi")
"""Base offset and the length of what follows: in front of every batch of every format version."""

_LARGEST: Final = 256 << 20


class KafkaSegments:
    """The log directory of one broker."""

    name = "kafka files"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pieces(self, overlap: int) -> AsyncIterator[Piece]:
        return as_they_come(self._files(overlap))

    def _files(self, overlap: int) -> Iterator[Piece]:
        for path in files_below(self._folder):
            where = str(path.relative_to(self._folder))
            yield from file_pieces(path, where, overlap)
            if path.suffix == ".log" or path.name.endswith(".log.deleted"):
                yield from _records(path, f"{where} decoded")


def _records(path: Path, where: str) -> Iterator[Piece]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # retention was faster
    with file:
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            offset, length = _FRAME.unpack(frame)
            if length <= 0:
                return  # preallocated space
            if length > _LARGEST:
                raise UnreadableError(f"{where}: a batch of {length} bytes at offset {offset}: this is no segment")
            body = file.read(length)
            if len(body) < length:
                return  # the broker is writing it; the consumer reads it
            batches = MemoryRecords(frame + body)
            while batches.has_next():
                for record in batches.next_batch() or ():
                    at = f"offset {record.offset}"
                    headers = [value for _, value in record.headers]
                    parts = [data for data in (record.key, record.value, *headers) if data]
                    for number, data in enumerate(parts):
                        yield Piece(where, at, bytes(data), unit=number == 0)
