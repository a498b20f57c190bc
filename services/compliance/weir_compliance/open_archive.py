"""Open an exported archive and check it against its own manifest: what `weir export decrypt` does.

The archive is an ordinary age file with a gzipped tar inside, so `age -d -i KEY ARCHIVE | tar xz` opens it too; this
also says whether everything that the manifest promises is there, unchanged.
"""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from weir_compliance.adapters.age_files import SealedFileDamagedError, opened_file
from weir_compliance.domain.manifest import FORMAT, MANIFEST_NAME

_READ_ME_NAME = "README.txt"
_BLOCK = 1 << 17
_MAX_MANIFEST_BYTES = 16 << 20


class ArchiveFaultError(Exception):
    """What is wrong with the archive, in words for the person who opens it."""


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """Where it was unpacked, and what it says of itself."""

    folder: Path
    manifest: Mapping[str, object]


def open_archive(archive: Path, identity: str, folder: Path) -> OpenedArchive:
    """Unpacks into `folder`, which must not exist and appears only when everything was right."""
    if folder.exists():
        raise ArchiveFaultError(f"{folder} exists already; name another folder with --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        try:
            manifest = _unpack(archive, identity, draft)
        except SealedFileDamagedError:
            raise ArchiveFaultError("the archive does not open with this key, or is damaged or incomplete") from None
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ArchiveFaultError(f"the archive cannot be unpacked: {error}") from error
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return OpenedArchive(folder, manifest)


def _unpack(archive: Path, identity: str, draft: Path) -> Mapping[str, object]:
    (draft / "data").mkdir()
    found: dict[str, tuple[int, str]] = {}
    manifest: Mapping[str, object] = {}
    with opened_file(archive, identity) as opened:
        with tarfile.open(fileobj=cast("BinaryIO", opened), mode="r|gz") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or not _is_ours(member.name):
                    raise ArchiveFaultError(f"the archive holds something that no export has: {member.name!r}")
                found[member.name] = _write(content, draft / member.name)
                if member.name == MANIFEST_NAME:
                    manifest = _read_manifest(draft / MANIFEST_NAME)
        # Only who has read to the end knows that nothing was cut off.
        while opened.read(_BLOCK):
            pass
    _check(manifest, found)
    return manifest


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if not folder:
        return file in (_READ_ME_NAME, MANIFEST_NAME)
    return folder == "data" and file.endswith(".jsonl") and file.removesuffix(".jsonl").replace("-", "").isalnum()


def _write(content: IO[bytes], path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with path.open("xb") as file:
        while block := content.read(_BLOCK):
            digest.update(block)
            size += len(block)
            file.write(block)
    return size, digest.hexdigest()


def _read_manifest(path: Path) -> Mapping[str, object]:
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ArchiveFaultError("the manifest is larger than any export's")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArchiveFaultError(f"the manifest is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArchiveFaultError(f"the manifest is not of the format {FORMAT}")
    return manifest


def _check(manifest: Mapping[str, object], found: Mapping[str, tuple[int, str]]) -> None:
    if not manifest:
        raise ArchiveFaultError("the archive has no manifest")
    services = manifest.get("services")
    promised = {
        str(service["path"]): (int(service["bytes"]), str(service["sha256"]))
        for service in (services if isinstance(services, list) else [])
    }
    for path, expected in promised.items():
        if found.get(path) != expected:
            got = "nothing" if path not in found else f"{found[path][0]} bytes with {found[path][1]}"
            raise ArchiveFaultError(f"{path}: the manifest says {expected[0]} bytes with {expected[1]}, there is {got}")
    surplus = sorted(found.keys() - promised.keys() - {_READ_ME_NAME, MANIFEST_NAME})
    if surplus:
        raise ArchiveFaultError(f"the manifest does not know {', '.join(surplus)}")
