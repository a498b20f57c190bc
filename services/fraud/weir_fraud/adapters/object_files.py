"""Files of models in object storage: S3, Google Cloud Storage, Azure, or a folder, by the scheme of the URI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from weir_fraud.errors import ModelFilesUnavailable, ModelRefused, Refusal

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
"""A model of 100 trees has 2 MB."""
_SECONDS: Final = 10.0


class ObjectFiles:
    """See `ModelFiles`. An object is written whole or not at all, and never over another."""

    def __init__(self, store: ObjectStore, root: str, *, seconds: float = _SECONDS) -> None:
        self._store = store
        self._root = root.rstrip("/")
        self._seconds = seconds

    async def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = f"{folder}/{name}"
            async with self._asked(path):
                try:
                    await obstore.put_async(self._store, path, content, mode="create")
                    continue
                except AlreadyExistsError:
                    pass
            if (await self.get(folder, [name]))[name] != content:
                raise ModelRefused(f"{self.uri(path)} is there with another content.", Refusal.HASH)

    async def get(self, folder: str, names: Collection[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for name in names:
            path = f"{folder}/{name}"
            async with self._asked(path):
                answer = await obstore.get_async(self._store, path)
                size = answer.meta["size"]
                if size > MAX_FILE_BYTES:
                    raise ModelRefused(
                        f"{self.uri(path)} has {size} bytes; a model has at most {MAX_FILE_BYTES}.", Refusal.UNREADABLE
                    )
                found[name] = bytes(await answer.bytes_async())
        return found

    def uri(self, folder: str) -> str:
        return f"{self._root}/{folder}"

    @asynccontextmanager
    async def _asked(self, path: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (NotFoundError, FileNotFoundError) as error:
            raise ModelRefused(f"There is no {self.uri(path)}.", Refusal.MISSING) from error
        except (BaseError, OSError, TimeoutError) as error:
            raise ModelFilesUnavailable(
                f"The object storage did not answer for {self.uri(path)}: {type(error).__name__}"
            ) from error


def open_object_files(uri: str) -> ObjectFiles:
    """`uri`: `s3://bucket/prefix`, `gs://…`, `az://…` (credentials as these services' own clients find them) or `file:///folder`."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        Path(unquote(parts.path)).mkdir(parents=True, exist_ok=True)
    return ObjectFiles(from_url(uri), uri)
