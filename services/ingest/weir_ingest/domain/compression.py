"""Content codings of a request body, decompressed with a bound: a small body must not become a large one in memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard
from weir_common.problems import InvalidRequest, PayloadTooLarge, Problem

_GZIP = 31
"""zlib's number for: the gzip format, window of 32 KB."""
_STEP = 256 * 1_024
_MAX_WINDOW = 8 * 1_048_576
"""What RFC 9659 asks every decoder of the zstd coding to bear; a larger window is refused."""


class UnsupportedCoding(Problem):
    status = 415
    slug = "unsupported-media-type"
    title = "The body's coding is not supported"


def decompress(body: bytes, coding: str, *, max_bytes: int) -> bytes:
    """The body without its ``Content-Encoding``; ``PayloadTooLarge`` as soon as it exceeds ``max_bytes``."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    decoder = _DECODERS.get(coding)
    if decoder is None:
        raise UnsupportedCoding(
            f"Content-Encoding '{coding[:40]}' is not supported; there are gzip and zstd.",
            headers={"Accept-Encoding": "gzip, zstd"},
        )
    try:
        return decoder(body, max_bytes)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InvalidRequest(
            f"The body is not valid {coding}: {error}",
            status=400,
            slug="malformed-body",
            title="The body cannot be read",
        ) from error


def _gzip(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    rest = body
    if not body:
        raise EOFError("it is empty")
    while rest:  # a gzip body may have several members
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            part = member.decompress(rest, min(_STEP, max_bytes + 1 - size))
            rest = member.unconsumed_tail
            if not part and not rest and not member.eof:
                raise EOFError("it ends before its end mark")
            size += len(part)
            _check(size, max_bytes)
            parts.append(part)
        rest = member.unused_data
    return b"".join(parts)


def _zstd(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    with decoder.stream_reader(body, read_across_frames=True) as reader:
        while part := reader.read(_STEP):
            size += len(part)
            _check(size, max_bytes)
            parts.append(part)
    whole = b"".join(parts)
    # The reader takes a body that breaks off for one that ends: the frame's own account tells.
    declared = zstandard.frame_content_size(body)
    if not whole or declared > len(whole):
        raise EOFError("it ends before its end mark")
    return whole


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise PayloadTooLarge(
            f"The body may be at most {max_bytes} bytes, also when decompressed.", extra={"limit_bytes": max_bytes}
        )


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}
