"""Files in pieces: nothing is cut in two, and what is compressed is opened."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard
from weir_compliance.hunt.files import CHUNK, carved_zstd, file_pieces, files_below, unpacked
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.ports import Piece, UnreadableError

VALUE = b"planted-value-of-thirty-letters"
HIDDEN = b"".join(VALUE[:length] for length in range(len(VALUE) + 1))
"""Its beginnings, then itself: a compressor writes that down as references, so that a raw search does not see it."""

MATCHER = Matcher([Planted("one", VALUE.decode())])


def labels(pieces: list[Piece]) -> list[str]:
    return [
        match.planted.label
        for piece in pieces
        for match in MATCHER.matches(piece.data)
        if match.spelling == "plain" and match.end > piece.repeated
    ]


def pieces_of(tmp_path: Path, data: bytes) -> list[Piece]:
    (tmp_path / "file").write_bytes(data)
    return list(file_pieces(tmp_path / "file", "file", MATCHER.longest))


@pytest.mark.parametrize("before", [0, CHUNK - len(VALUE), CHUNK - 10, CHUNK - 1, CHUNK, 2 * CHUNK - 5])
def test_a_value_on_the_border_of_two_chunks_is_found_once(tmp_path: Path, before: int) -> None:
    data = bytes(before) + VALUE + bytes(100)
    pieces = pieces_of(tmp_path, data)
    assert labels(pieces) == ["one"]
    assert sum(len(piece.data) - piece.repeated for piece in pieces) == len(data)
    assert max(len(piece.data) for piece in pieces) <= CHUNK + MATCHER.longest


def test_gzip_and_zstd_are_opened_also_within_each_other(tmp_path: Path) -> None:
    zipped = gzip.compress(HIDDEN)
    packed = zstandard.ZstdCompressor().compress(HIDDEN)
    nested = gzip.compress(packed)
    for data in (zipped, packed, nested, packed + packed):
        assert VALUE not in data
        assert "one" in labels(pieces_of(tmp_path, data))
    assert labels(list(unpacked(zipped, "cell", "row 1", 64))) == ["one"]
    assert list(unpacked(b"plain", "cell", "row 1", 64)) == []


def test_what_begins_compressed_and_does_not_open_is_not_clean(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="does not open"):
        pieces_of(tmp_path, gzip.compress(HIDDEN * 50)[:-12])
    with pytest.raises(UnreadableError, match="does not open"):
        pieces_of(tmp_path, b"\x28\xb5\x2f\xfd" + bytes(range(200)))


def test_frames_are_carved_out_of_a_file_without_a_footer() -> None:
    packed = zstandard.ZstdCompressor().compress(HIDDEN)
    data = b"PAR1 \x28\xb5\x2f\xfd no frame " + packed + b"junk" + packed[: len(packed) // 2]
    assert labels(list(carved_zstd(data, "file"))) == ["one"]


def test_a_file_that_vanishes_has_nothing_and_a_folder_that_is_not_there_is_not_clean(tmp_path: Path) -> None:
    assert list(file_pieces(tmp_path / "gone", "gone", 8)) == []
    with pytest.raises(UnreadableError, match="does not exist"):
        files_below(tmp_path / "nowhere")
