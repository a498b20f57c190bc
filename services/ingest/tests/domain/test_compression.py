"""Bodies with a coding: what goes in comes out, and no bomb does."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
import zstandard
from weir_common.problems import InvalidRequest, PayloadTooLarge
from weir_ingest.domain.compression import UnsupportedCoding, decompress

BODY = b'{"events": []}' * 1_000
LIMIT = 1_048_576
BOMB = b"\0" * (256 * 1_048_576)


def compress(coding: str, body: bytes) -> bytes:
    return {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "identity": bytes}[coding](body)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_what_was_compressed_comes_out(coding: str) -> None:
    assert decompress(compress(coding, BODY), coding.upper(), max_bytes=LIMIT) == BODY
    assert decompress(compress(coding, BODY) * (coding != "identity") or BODY, coding, max_bytes=len(BODY)) == BODY


def test_a_gzip_body_may_have_several_members() -> None:
    assert decompress(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", max_bytes=LIMIT) == b"abcd"


def test_a_zstd_body_may_have_several_frames_and_need_not_say_how_long_it_is() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    streamed = compressor.compress(BODY) + compressor.flush()
    assert decompress(streamed + compress("zstd", b"cd"), "zstd", max_bytes=LIMIT) == BODY + b"cd"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_one_byte_over_the_limit_is_told_the_limit(coding: str) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        decompress(compress(coding, BODY), coding, max_bytes=len(BODY) - 1)
    assert caught.value.extra == {"limit_bytes": len(BODY) - 1}


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_never_becomes_large_in_memory(coding: str) -> None:
    bomb = compress(coding, BOMB)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            decompress(bomb, coding, max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_body_is_the_clients_fault(coding: str, damage: str) -> None:
    body = compress(coding, BODY)
    with pytest.raises(InvalidRequest) as caught:
        decompress({"cut": body[:-3], "other": b"plain text", "empty": b""}[damage], coding, max_bytes=LIMIT)
    assert caught.value.status == 400


def test_an_unknown_coding_is_told_the_known_ones() -> None:
    with pytest.raises(UnsupportedCoding) as caught:
        decompress(BODY, "br", max_bytes=LIMIT)
    assert caught.value.status == 415
    assert caught.value.headers == {"Accept-Encoding": "gzip, zstd"}
