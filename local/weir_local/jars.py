"""Kafka's jars: pinned by coordinate and digest in `kafka_jars.lock`, fetched by jgo, kept in the cache.

`python -m weir_local.jars` writes the lock anew: what Maven's resolution gives for `ROOTS` today.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext

from weir_local.component import CannotStart, Report

LOCK = Path(__file__).with_name("kafka_jars.lock")
ROOTS = ("org.apache.kafka:kafka_2.13:4.4.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5")
"""The broker, and what carries its log lines from slf4j to the log4j-core that it brings along."""
TIMEOUT_SECONDS = 60
ATTEMPTS = 3
JARS_MIB = 44


@dataclass(frozen=True, slots=True)
class Jar:
    """`group:artifact:version` and the SHA-256 of its jar in hex."""

    coordinate: str
    digest: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(text: str) -> list[Jar]:
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinate, digest = line.split(" sha256:")
            jars.append(Jar(coordinate, digest))
    return jars


def jars_folder(cache: Path) -> Path:
    """Where the jars of this very lock are, once they are there."""
    return cache / f"kafka-jars-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"


def cached_jars(cache: Path, report: Report) -> Path:
    """The folder with exactly the locked jars; downloads and verifies them if it is not there (44 MB, about 10 s).

    The folder appears by one rename after every digest was right, so what is found in it needs no second look.
    Raises CannotStart if a download fails or a digest is wrong. Blocking: call it in a thread.
    """
    folder = jars_folder(cache)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    jars = read_lock(LOCK.read_text())
    with tempfile.TemporaryDirectory(dir=cache, prefix=".jars-") as temporary:
        draft = Path(temporary) / "jars"
        draft.mkdir()
        context = MavenContext(repo_cache=Path(temporary) / "repository", timeout=TIMEOUT_SECONDS)
        done = 0
        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(lambda jar: _fetch(context, jar, draft), jars):
                done += 1
                if done % 15 == 0 or done == len(jars):
                    report(f"downloading Kafka's jars, {done} of {len(jars)}")
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another checkout was first, with the same bytes
                raise
    return folder


def _fetch(context: MavenContext, jar: Jar, folder: Path) -> None:
    artifact = context.create_dependency(jar.coordinate).artifact
    failure = "nothing came"
    for _ in range(ATTEMPTS):
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # noqa: BLE001 - the library raises what its HTTP client raises; the last one is shown
            failure = f"{type(error).__name__}: {error}"
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest == jar.digest:
            shutil.move(path, folder / jar.file_name)
            return
        path.unlink()
        failure = f"its SHA-256 is {digest}, the lock says {jar.digest}"
    raise CannotStart(
        f"could not get {jar.coordinate}: {failure}",
        "Check the connection to the Java repository and try again; a wrong digest means that the file was changed on the way.",
    )


def resolve_lock() -> str:
    """The text of a fresh lock. Each root is resolved by itself: together one's managed versions would change the other's."""
    coordinates = set(ROOTS)
    with tempfile.TemporaryDirectory() as temporary:
        context = MavenContext(repo_cache=Path(temporary), timeout=TIMEOUT_SECONDS)
        versions: dict[str, str] = {}
        for root in ROOTS:
            _, nodes = context.resolver.get_dependency_list([context.create_dependency(root)])
            for node in nodes:
                versions.setdefault(f"{node.dep.groupId}:{node.dep.artifactId}", node.dep.version)
        coordinates |= {f"{project}:{version}" for project, version in versions.items()}
        lines = ["# Kafka, its dependencies and its log binding. Written by `python -m weir_local.jars`."]
        for coordinate in sorted(coordinates):
            path = Path(context.create_dependency(coordinate).artifact.resolve())
            lines.append(f"{coordinate} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
    return "\n".join(lines) + os.linesep


if __name__ == "__main__":
    LOCK.write_text(resolve_lock())
    sys.stdout.write(f"wrote {LOCK}\n")
