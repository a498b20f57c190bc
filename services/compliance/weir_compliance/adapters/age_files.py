"""Files in the age format (age-encryption.org/v1), written and read as streams.

The age library pulls its input and blocks, so each sealed file has a thread; a bounded queue between it and the
writer is the back-pressure: a slow disk slows the sender down, and nothing grows in memory.

A file appears under its name only when it is complete and on disk (temporary name, fsync, rename, fsync of the folder).
"""

import hashlib
import io
import os
import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyrage  # type: ignore[import-untyped]
from pyrage import x25519

_CHUNK_BYTES = 1 << 18
_QUEUED_CHUNKS = 4
# How often a blocked side looks whether the other side is gone.
_POLL_SECONDS = 0.2


class SealingError(Exception):
    """The encrypting side ended early; its own error is the cause."""


class SealedFileDamagedError(Exception):
    """The file does not decrypt with this identity: damaged, cut short, or meant for somebody else."""


class _AbandonedError(Exception):
    """Thrown into the encrypting thread when the writer gives up."""


class _Pipe:
    """A bounded byte pipe between two threads: one side puts chunks, the other reads like from a file."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUED_CHUNKS)
        self._current = memoryview(b"")
        self._ended = False
        self.abandoned = threading.Event()
        self.reader_gone = threading.Event()

    def put(self, chunk: bytes | None) -> None:
        while not self.reader_gone.is_set():
            try:
                self._queue.put(chunk, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return
        raise SealingError

    def read(self, size: int) -> bytes:
        while not self._current and not self._ended:
            if self.abandoned.is_set():
                raise _AbandonedError
            try:
                chunk = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if chunk is None:
                self._ended = True
            else:
                self._current = memoryview(chunk)
        taken, self._current = self._current[:size], self._current[size:]
        return bytes(taken)


class SealedFile:
    """`write` blocks: call it from a thread, with chunks of some size. Made by `sealed_file`."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe
        self._digest = hashlib.sha256()
        self.plain_bytes = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.plain_bytes += len(data)
        for start in range(0, len(data), _CHUNK_BYTES):
            self._pipe.put(bytes(data[start : start + _CHUNK_BYTES]))
        return len(data)

    @property
    def plain_sha256(self) -> bytes:
        """Of what was written so far."""
        return self._digest.digest()


@contextmanager
def sealed_file(path: Path, recipient: str) -> Iterator[SealedFile]:
    """A file encrypted to `recipient`. Leaving normally completes it under its name; leaving by an error leaves
    nothing.
    """
    recipients = [x25519.Recipient.from_str(recipient)]
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    pipe = _Pipe()
    failure: list[BaseException] = []

    def encrypt(out: BinaryIO) -> None:
        try:
            pyrage.encrypt_io(pipe, out, recipients)
        except Exception as error:  # noqa: BLE001 - carried to the writer, which raises
            failure.append(error)
        finally:
            pipe.reader_gone.set()

    try:
        with _create_private(partial) as out:
            thread = threading.Thread(target=encrypt, args=(out,), name="age-encrypt", daemon=True)
            thread.start()
            try:
                yield SealedFile(pipe)
                pipe.put(None)
            except SealingError as error:
                thread.join()
                error.__cause__ = failure[0] if failure else None
                raise
            except BaseException:
                pipe.abandoned.set()
                raise
            finally:
                thread.join()
            if failure:
                raise SealingError from failure[0]
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class _Sink(io.RawIOBase):
    """What the age library writes into."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pipe.put(data)
        return len(data)


class OpenedFile:
    """The plaintext of a sealed file, as a stream. `read` raises SealedFileDamagedError where the file is damaged."""

    def __init__(self, pipe: _Pipe, failure: list[BaseException]) -> None:
        self._pipe = pipe
        self._failure = failure
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end; everything that is left for a negative size."""
        pieces = []
        left = size
        while left != 0:
            piece = self._pipe.read(left if left > 0 else _CHUNK_BYTES)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        data = b"".join(pieces)
        if self._failure:
            raise SealedFileDamagedError from self._failure[0]
        self._digest.update(data)
        return data

    @property
    def plain_sha256(self) -> bytes:
        """Of what was read so far."""
        return self._digest.digest()


@contextmanager
def opened_file(path: Path, identity: str) -> Iterator[OpenedFile]:
    """Decrypts and authenticates `path` as it is read. Only a reader that got to the end knows that all of it is
    good.
    """
    identities = [x25519.Identity.from_str(identity)]
    pipe = _Pipe()
    failure: list[BaseException] = []

    def decrypt() -> None:
        try:
            with path.open("rb") as sealed:
                pyrage.decrypt_io(sealed, _Sink(pipe), identities)
        except Exception as error:  # noqa: BLE001 - carried to the reader, which raises
            failure.append(error)
        # Not while the reader is gone: then nobody waits for the end.
        with suppress(SealingError):
            pipe.put(None)

    thread = threading.Thread(target=decrypt, name="age-decrypt", daemon=True)
    thread.start()
    try:
        yield OpenedFile(pipe, failure)
    finally:
        pipe.reader_gone.set()
        thread.join()


def new_identity() -> tuple[str, str]:
    """(secret, recipient) of a fresh X25519 age identity."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipient_of(identity: str) -> str:
    return str(x25519.Identity.from_str(identity).to_public())


def is_recipient(text: str) -> bool:
    """Whether `text` is an age X25519 public key."""
    try:
        x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def _create_private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
