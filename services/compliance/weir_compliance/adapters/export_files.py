"""Where exports lie on disk: one folder a request, parts while stores deliver, then one archive.

    <folder>/<request id>/parts/<store>.jsonl.age   under the request's staging key
    <folder>/<request id>/archive.tar.gz.age        for the recipient

Folder names are request ids: random, and known to be nobody's name. Every worker and every HTTP process must see the
same folder.
"""

import asyncio
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast
from uuid import UUID

from weir_compliance.adapters.age_files import (
    OpenedFile,
    SealedFile,
    SealedFileDamagedError,
    opened_file,
    sealed_file,
)
from weir_compliance.domain.manifest import MANIFEST_NAME, StoreReceipt, data_path
from weir_compliance.errors import PartDamagedError
from weir_compliance.ports import PackedArchive, PackOrder

# Records are small; a thread hop for each would cost more than the encryption.
_HANDOVER_BYTES = 1 << 17

_READ_ME = """\
This archive answers a request about personal data.

manifest.json     what is in it: the services that were asked, how many records each holds, checksums, and the
information that
                  the law asks for beside the data (purposes, categories, recipients, periods, rights)
data/*.jsonl      the data, one file a service, one record a line (JSON): {"kind": what it is, "schema": its format,
"data": the record}

The checksums in manifest.json are SHA-256 sums of the files in data/.
"""


class PackingAbandonedError(Exception):
    """The packing was told to stop."""


class PartWriter:
    """Takes a store's records, line by line."""

    def __init__(self, sealed: SealedFile) -> None:
        self._sealed = sealed
        self._waiting = bytearray()

    async def write(self, line: bytes) -> None:
        self._waiting += line
        if len(self._waiting) >= _HANDOVER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        if data:
            await asyncio.to_thread(self._sealed.write, data)

    @property
    def plain_bytes(self) -> int:
        return self._sealed.plain_bytes

    @property
    def plain_sha256(self) -> bytes:
        return self._sealed.plain_sha256


class ExportFiles:
    """The exports of this deployment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def archive(self, request_id: UUID) -> Path:
        return self._request(request_id) / "archive.tar.gz.age"

    def has_part(self, request_id: UUID, store: str) -> bool:
        return self._part(request_id, store).is_file()

    @asynccontextmanager
    async def part_writer(self, request_id: UUID, store: str, recipient: str) -> AsyncIterator[PartWriter]:
        """Writes a store's part; it replaces an earlier one only when it is complete."""
        path = self._part(request_id, store)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        context = sealed_file(path, recipient)
        sealed = context.__enter__()
        try:
            writer = PartWriter(sealed)
            yield writer
            await writer.flush()
        except BaseException as error:
            # Leaving waits for the encrypting thread, which gives up within one poll.
            await asyncio.to_thread(context.__exit__, type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(context.__exit__, None, None, None)

    async def pack(self, order: PackOrder) -> PackedArchive:
        """One archive of all parts. PartDamagedError names the store whose part is gone or not what was receipted."""
        abandoned = threading.Event()
        packing = asyncio.ensure_future(asyncio.to_thread(self._pack, order, abandoned))
        try:
            return await asyncio.shield(packing)
        finally:
            # Cancelled: the thread sees it at the next block; it must be over before somebody packs anew.
            abandoned.set()
            await asyncio.wait([packing])
            if not packing.cancelled():
                packing.exception()

    def _pack(self, order: PackOrder, abandoned: threading.Event) -> PackedArchive:
        path = self.archive(order.request_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        manifest = json.dumps(order.manifest, ensure_ascii=False, indent=2).encode()
        with (
            sealed_file(path, order.recipient) as sealed,
            # The gzip header would hold the time of packing; without it the same content gives the same bytes.
            gzip.GzipFile(fileobj=cast("BinaryIO", sealed), mode="wb", filename="", mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, content in (("README.txt", _READ_ME.encode()), (MANIFEST_NAME, manifest)):
                tar.addfile(_member(name, len(content), order.generated_at), io.BytesIO(content))
            for receipt in order.receipts:
                self._add_part(tar, order, receipt, abandoned)
        digest = hashlib.sha256()
        with path.open("rb") as archive:
            while block := archive.read(_HANDOVER_BYTES):
                digest.update(block)
        return PackedArchive(path.stat().st_size, digest.digest())

    def _add_part(
        self, tar: tarfile.TarFile, order: PackOrder, receipt: StoreReceipt, abandoned: threading.Event
    ) -> None:
        part = self._part(order.request_id, receipt.store)
        if not part.is_file():
            raise PartDamagedError(receipt.store)
        try:
            with opened_file(part, order.staging_identity) as opened:
                source = _Abandonable(opened, abandoned)
                member = _member(data_path(receipt.store), receipt.size_bytes, order.generated_at)
                tar.addfile(member, cast("BinaryIO", source))
                whole = not opened.read() and opened.plain_sha256.hex() == receipt.sha256
        except (SealedFileDamagedError, OSError, ValueError) as error:
            # tarfile reports a part that ends early as OSError("unexpected end of data").
            raise PartDamagedError(receipt.store) from error
        if not whole:
            raise PartDamagedError(receipt.store)

    def remove_parts(self, request_id: UUID) -> None:
        """Repeatable."""
        _remove(self._request(request_id) / "parts")

    def remove_all(self, request_id: UUID) -> None:
        """Repeatable."""
        _remove(self._request(request_id))

    def _request(self, request_id: UUID) -> Path:
        return self._folder / str(request_id)

    def _part(self, request_id: UUID, store: str) -> Path:
        return self._request(request_id) / "parts" / f"{store}.jsonl.age"


class _Abandonable:
    """Reads until told to stop."""

    def __init__(self, opened: OpenedFile, abandoned: threading.Event) -> None:
        self._opened = opened
        self._abandoned = abandoned

    def read(self, size: int = -1) -> bytes:
        if self._abandoned.is_set():
            raise PackingAbandonedError
        return self._opened.read(size)


def _member(name: str, size: int, written_at: datetime) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = int(written_at.timestamp())
    member.mode = 0o600
    return member


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
