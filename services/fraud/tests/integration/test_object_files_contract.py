"""Files of models in memory and in a folder: object storages both, to their clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore
from weir_fraud.adapters import object_files
from weir_fraud.adapters.object_files import ObjectFiles, open_object_files
from weir_fraud.errors import ModelFilesUnavailable, ModelRefused, Refusal


@pytest.fixture(params=["memory", "folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Each implementation of `ModelFiles`."""
    if request.param == "memory":
        return ObjectFiles(MemoryStore(), "memory://")
    return open_object_files((tmp_path / "a folder").as_uri())


async def test_what_was_put_is_got(files: ObjectFiles) -> None:
    content = {"model.txt": b"trees", "model.json": bytes(range(256)) * 4_000}
    await files.put("a-1", content)
    await files.put("a-1", content)
    assert await files.get("a-1", list(content)) == content
    assert await files.get("a-1", ["model.txt"]) == {"model.txt": b"trees"}


async def test_nothing_is_ever_overwritten(files: ObjectFiles) -> None:
    await files.put("a-1", {"model.txt": b"trees"})
    with pytest.raises(ModelRefused, match="another content") as refused:
        await files.put("a-1", {"model.txt": b"other trees"})
    assert refused.value.reason is Refusal.HASH
    assert await files.get("a-1", ["model.txt"]) == {"model.txt": b"trees"}


async def test_what_is_not_there_is_told(files: ObjectFiles) -> None:
    with pytest.raises(ModelRefused, match=r"a-1/model\.txt") as refused:
        await files.get("a-1", ["model.txt"])
    assert refused.value.reason is Refusal.MISSING


async def test_a_file_larger_than_any_model_is_not_read(files: ObjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    await files.put("a-1", {"model.txt": b"trees"})
    monkeypatch.setattr(object_files, "MAX_FILE_BYTES", 4)
    with pytest.raises(ModelRefused, match="5 bytes"):
        await files.get("a-1", ["model.txt"])


async def test_a_storage_that_does_not_answer_is_asked_again_by_the_caller(tmp_path: Path) -> None:
    files = open_object_files(tmp_path.as_uri())
    (tmp_path / "a-1").write_bytes(b"a file where a folder should be")
    with pytest.raises(ModelFilesUnavailable):
        await files.put("a-1", {"model.txt": b"trees"})
