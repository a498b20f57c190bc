import io
import os
import shutil
import subprocess
import time
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from pyrage import x25519
from weir_compliance.adapters.age_files import (
    SealedFileDamagedError,
    SealingError,
    is_recipient,
    new_identity,
    opened_file,
    recipient_of,
    sealed_file,
)


def seal(path: Path, recipient: str, *pieces: bytes) -> None:
    with sealed_file(path, recipient) as sealed:
        for piece in pieces:
            sealed.write(piece)


def read_in_pieces(path: Path, secret: str) -> bytes:
    with opened_file(path, secret) as opened:
        return b"".join(iter(lambda: opened.read(1013), b""))


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_001])
def test_what_was_sealed_comes_back_in_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    secret, recipient = new_identity()
    plain = os.urandom(size)
    seal(tmp_path / "a.age", recipient, plain[: size // 3], plain[size // 3 :])
    assert read_in_pieces(tmp_path / "a.age", secret) == plain
    with opened_file(tmp_path / "a.age", secret) as opened:
        assert opened.read() == plain


def test_the_file_is_an_age_file_that_the_library_itself_opens(tmp_path: Path) -> None:
    secret, recipient = new_identity()
    seal(tmp_path / "a.age", recipient, b"hello")
    assert (tmp_path / "a.age").read_bytes().startswith(b"age-encryption.org/v1\n-> X25519 ")
    out = io.BytesIO()
    pyrage.decrypt_io(io.BytesIO((tmp_path / "a.age").read_bytes()), out, [x25519.Identity.from_str(secret)])
    assert out.getvalue() == b"hello"


@pytest.mark.skipif(shutil.which("age") is None, reason="the age tool is not on the path")
def test_the_standard_tool_opens_it(tmp_path: Path) -> None:
    secret, recipient = new_identity()
    seal(tmp_path / "a.age", recipient, b"hello" * 100_000)
    (tmp_path / "key").write_text(secret)
    found = subprocess.run(["age", "-d", "-i", tmp_path / "key", tmp_path / "a.age"], capture_output=True, check=True)
    assert found.stdout == b"hello" * 100_000


def test_it_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    seal(tmp_path / "a.age", new_identity()[1], b"x")
    assert (tmp_path / "a.age").stat().st_mode & 0o777 == 0o600


def test_a_writer_that_fails_leaves_nothing_and_what_was_there_stays(tmp_path: Path) -> None:
    secret, recipient = new_identity()
    seal(tmp_path / "a.age", recipient, b"first")

    def fail_half_way() -> None:
        with sealed_file(tmp_path / "a.age", recipient) as sealed:
            sealed.write(b"second" * 100_000)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert [path.name for path in tmp_path.iterdir()] == ["a.age"]
    with opened_file(tmp_path / "a.age", secret) as opened:
        assert opened.read() == b"first"


def test_a_disk_that_takes_nothing_more_is_an_error_to_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> io.RawIOBase:
        path.touch()
        return open("/dev/full", "wb", buffering=0)  # noqa: PTH123

    monkeypatch.setattr("weir_compliance.adapters.age_files._create_private", full)
    with pytest.raises(SealingError):
        seal(tmp_path / "a.age", new_identity()[1], *[bytes(1 << 18)] * 100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["bit", "cut", "cut_at_a_chunk", "other_key"])
def test_a_damaged_file_is_not_read_as_a_whole_one(tmp_path: Path, damage: str) -> None:
    secret, recipient = new_identity()
    path = tmp_path / "a.age"
    seal(path, recipient, bytes(300_000))
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[len(data) // 2] ^= 1
    elif damage == "cut":
        del data[-1000:]
    elif damage == "cut_at_a_chunk":
        header = len(data) - (300_000 + 16 * 5) - 16
        del data[header + 16 + 2 * 65_552 :]
    else:
        secret, _ = new_identity()
    path.write_bytes(data)
    with pytest.raises(SealedFileDamagedError):
        read_in_pieces(path, secret)


def test_a_reader_that_leaves_early_ends_the_thread(tmp_path: Path) -> None:
    secret, recipient = new_identity()
    seal(tmp_path / "a.age", recipient, bytes(5_000_000))
    started = time.monotonic()
    with opened_file(tmp_path / "a.age", secret) as opened:
        assert opened.read(10) == bytes(10)
    assert time.monotonic() - started < 2


def test_keys() -> None:
    secret, recipient = new_identity()
    assert recipient_of(secret) == recipient
    assert is_recipient(recipient)
    assert not is_recipient(secret)
    assert not is_recipient("age1" + "q" * 58)
    assert not is_recipient("ssh-ed25519 AAAA")
