"""The lock of Kafka's jars, and what happens when a download is not what the lock says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from weir_local import jars
from weir_local.component import CannotStart
from weir_local.jars import LOCK, Jar, cached_jars, jars_folder, read_lock


def test_the_lock_pins_every_jar_by_digest() -> None:
    locked = read_lock(LOCK.read_text())
    assert len(locked) > 40
    assert len({jar.file_name for jar in locked}) == len(locked)
    assert all(len(jar.digest) == 64 and int(jar.digest, 16) for jar in locked)
    assert {"kafka_2.13-4.4.0.jar", "kafka-clients-4.4.0.jar", "slf4j-api-1.7.36.jar"} <= {
        jar.file_name for jar in locked
    }


class _Repository:
    """Stands in for the Java repository: gives the same bytes for every coordinate, from the folder it is told."""

    def __init__(self, repo_cache: Path, timeout: float) -> None:
        self.folder = repo_cache
        self.artifact = self

    content = b"a jar"
    downloads = 0

    def create_dependency(self, coordinate: str) -> _Repository:
        return _Repository(self.folder / coordinate.replace(":", "/"), 0)

    def resolve(self) -> str:
        type(self).downloads += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "jar"
        path.write_bytes(self.content)
        return str(path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[_Repository]:
    lock = tmp_path / "lock"
    digest = hashlib.sha256(b"a jar").hexdigest()
    lock.write_text(f"# comment\norg.a:a:1 sha256:{digest}\norg.b:b:2 sha256:{digest}\n")
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setattr(jars, "MavenContext", _Repository)
    monkeypatch.setattr(_Repository, "downloads", 0)
    return _Repository


def test_jars_are_fetched_once(repository: type[_Repository], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words: list[str] = []
    folder = cached_jars(cache, words.append)
    assert folder == jars_folder(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["a-1.jar", "b-2.jar"]
    assert words[-1] == "downloading Kafka's jars, 2 of 2"
    cached_jars(cache, words.append)
    assert repository.downloads == 2
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_a_wrong_digest_leaves_nothing_in_the_cache(
    repository: type[_Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "content", b"something else")
    with pytest.raises(CannotStart, match="the lock says") as caught:
        cached_jars(tmp_path / "cache", lambda _: None)
    assert "connection" in caught.value.advice
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_line_of_the_lock() -> None:
    assert read_lock("\n# x\norg.a:a-b:1.2 sha256:00\n") == [Jar("org.a:a-b:1.2", "00")]
    assert Jar("org.a:a-b:1.2", "00").file_name == "a-b-1.2.jar"
