"""Files as pieces: in chunks that overlap, and opened if they are compressed. Memory is bounded by the chunk."""

import contextlib
import gzip
import io
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import zstandard

from weir_compliance.hunt.ports import Piece, UnreadableError

CHUNK: Final = 4 << 20
MAX_LAYERS: Final = 2
"""A compressed value within a compressed file."""

_GZIP: Final = b"\x1f\x8b\x08"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class _Source(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, position: int, /) -> int: ...


async def as_they_come(pieces: Iterable[Piece]) -> AsyncIterator[Piece]:
    """Pieces of local files, read when the hunter asks for them."""
    for piece in pieces:
        yield piece


def files_below(folder: Path) -> list[Path]:
    """Every regular file, in order. Raises `UnreadableError` if the folder is not there."""
    if not folder.is_dir():
        raise UnreadableError(f"{folder} does not exist")
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def file_pieces(path: Path, where: str, overlap: int) -> Iterator[Piece]:
    """A file as it lies there and, if it is gzip or zstd, what is in it. One that is gone meanwhile has nothing to give."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_ZSTD))
            file.seek(0)
            yield from chunks(file, where, overlap)
        # Again from its beginning, not beside it: a piece is handed out before the next is read.
        with path.open("rb") as file:
            yield from _unpacked(file, head, where, "", overlap, MAX_LAYERS)
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise UnreadableError(f"{where}: not readable for this user") from error


def unpacked(data: bytes, where: str, at: str, overlap: int) -> Iterator[Piece]:
    """What is in a value that is compressed; nothing if it is not."""
    if data.startswith((_GZIP, _ZSTD)):
        yield from _unpacked(io.BytesIO(data), data[: len(_ZSTD)], where, at, overlap, MAX_LAYERS)


def carved_zstd(data: bytes, where: str) -> Iterator[Piece]:
    """The zstd frames anywhere in ``data``: for a file whose table of contents is missing. A torn frame gives what it has."""
    start = data.find(_ZSTD)
    while start >= 0:
        frame = zstandard.ZstdDecompressor().decompressobj()
        following = start + 1
        # These four bytes may stand there by chance, and begin no frame.
        with contextlib.suppress(zstandard.ZstdError):
            plain = frame.decompress(data[start:])
            following = len(data) - len(frame.unused_data)
            yield Piece(where, f"byte {start} unzstd", plain)
        start = data.find(_ZSTD, following)


def chunks(file: _Source, where: str, overlap: int, at: str = "") -> Iterator[Piece]:
    """A stream in pieces of CHUNK bytes; each begins with the last ``overlap`` bytes of the one before."""
    tail = b""
    position = 0
    while fresh := file.read(CHUNK):
        yield Piece(
            where,
            f"{at} byte {position - len(tail)}".lstrip(),
            tail + fresh,
            repeated=len(tail),
            unit=position == 0,
        )
        position += len(fresh)
        tail = (tail + fresh)[-overlap:]


def _unpacked(file: _Source, head: bytes, where: str, at: str, overlap: int, layers: int) -> Iterator[Piece]:
    if layers == 0 or not head.startswith((_GZIP, _ZSTD)):
        return
    name = "gunzipped" if head.startswith(_GZIP) else "unzstd"
    place = f"{at} {name}".strip()
    inner = b""
    try:
        for piece in chunks(_opened(file, head), where, overlap, place):
            inner = inner or piece.data[: len(_ZSTD)]
            yield piece
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UnreadableError(f"{where} {at}: it begins like compressed data but does not open ({error})") from error
    if inner.startswith((_GZIP, _ZSTD)):
        file.seek(0)
        yield from _unpacked(_opened(file, head), inner, where, place, overlap, layers - 1)


def _opened(file: _Source, head: bytes) -> _Source:
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)  # type: ignore[arg-type]
