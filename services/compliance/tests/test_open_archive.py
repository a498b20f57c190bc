"""Opening an export: everything is what its manifest says, or nothing is unpacked."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from weir_compliance.adapters.age_files import new_identity, sealed_file
from weir_compliance.cli import export
from weir_compliance.open_archive import ArchiveFaultError, open_archive

Content = dict[str, bytes]


def manifest_of(data: Content) -> bytes:
    services = [
        {
            "service": path[5:-6],
            "path": path,
            "records": 1,
            "bytes": len(text),
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        for path, text in data.items()
    ]
    return json.dumps({"format": "weir.subject-export/1", "services": services}).encode()


@pytest.fixture
def content() -> Content:
    data = {"data/fraud.jsonl": b'{"a":1}\n' * 50_000, "data/tenant-admin.jsonl": b""}
    return {"README.txt": b"read me", "manifest.json": manifest_of(data)} | data


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Content], tuple[Path, str]]:
    """An archive of that content, and the identity that opens it."""

    def archive(content: Content) -> tuple[Path, str]:
        identity, recipient = new_identity()
        path = tmp_path / "weir-export-1.tar.gz.age"
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w:gz") as tar:
            for name, text in content.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text))
        with sealed_file(path, recipient) as sealed:
            sealed.write(plain.getvalue())
        return path, identity

    return archive


def test_everything_is_unpacked(make: Any, content: Content, tmp_path: Path) -> None:
    path, identity = make(content)
    opened = open_archive(path, identity, tmp_path / "out" / "deep")
    assert opened.manifest == json.loads(content["manifest.json"])
    found = {
        str(file.relative_to(opened.folder)): file.read_bytes() for file in opened.folder.rglob("*") if file.is_file()
    }
    assert found == content


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c | {"data/fraud.jsonl": c["data/fraud.jsonl"].replace(b"1", b"2", 1)}, "data/fraud.jsonl"),
        (lambda c: {name: text for name, text in c.items() if name != "data/fraud.jsonl"}, "there is nothing"),
        (lambda c: c | {"data/extra.jsonl": b"{}"}, "does not know data/extra.jsonl"),
        (lambda c: {name: text for name, text in c.items() if name != "manifest.json"}, "no manifest"),
        (lambda c: c | {"manifest.json": b"{"}, "not JSON"),
        (lambda c: c | {"manifest.json": b"{}"}, "format"),
        (lambda c: c | {"../outside": b"x"}, "holds something"),
        (lambda c: c | {"/etc/outside": b"x"}, "holds something"),
        (lambda c: c | {"data/../../outside.jsonl": b"x"}, "holds something"),
    ],
)
def test_what_is_not_as_promised_is_not_unpacked(
    make: Any, content: Content, tmp_path: Path, change: Callable[[Content], Content], says: str
) -> None:
    path, identity = make(change(content))
    with pytest.raises(ArchiveFaultError, match=says):
        open_archive(path, identity, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["key", "cut", "bit", "not age"])
def test_a_damaged_archive_is_not_unpacked(make: Any, content: Content, tmp_path: Path, damage: str) -> None:
    path, identity = make(content)
    data = bytearray(path.read_bytes())
    if damage == "key":
        identity, _ = new_identity()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "bit":
        data[-5] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"hello")
    with pytest.raises(ArchiveFaultError):
        open_archive(path, identity, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_command(make: Any, content: Content, tmp_path: Path) -> None:
    path, identity = make(content)
    key = tmp_path / "key.txt"
    key.write_text(f"# made for you\n{identity}\n")
    run = CliRunner().invoke(export, ["decrypt", str(path), "-i", str(key), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["folder"] == str(tmp_path / "weir-export-1")
    again = CliRunner().invoke(export, ["decrypt", str(path), "-i", str(key)])
    assert again.exit_code == 1
    assert "exists already" in again.output
    by_terminal = CliRunner().invoke(
        export, ["decrypt", str(path), "-i", "-", "--out", str(tmp_path / "other")], input=identity
    )
    assert by_terminal.exit_code == 0
    assert "50000" not in by_terminal.output
    key.write_text("nonsense")
    assert CliRunner().invoke(export, ["decrypt", str(path), "-i", str(key)]).exit_code == 2
