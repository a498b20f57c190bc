"""A purge removes what is ours and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from weir_local import privileges
from weir_local.mesh import Mesh
from weir_local.purge import purge


@pytest.fixture(autouse=True)
def _foreign_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "FOREIGN_ROOT", tmp_path / "foreign")


def test_everything_goes(mesh: Mesh) -> None:
    mesh.secret("x")
    mesh.port("y")
    (mesh.folder("postgres", "data") / "file").write_text("z")
    (mesh.state / "launcher.lock").touch()
    (mesh.state / ".mesh.json.123").touch()
    foreign = privileges.foreign_folder(mesh.state)
    (foreign / "data").mkdir(parents=True)
    purge(mesh.state)
    assert not mesh.state.exists()
    assert not foreign.exists()


def test_what_is_not_ours_stays(mesh: Mesh) -> None:
    (mesh.folder() / "notes.txt").write_text("mine")
    mesh.secret("x")
    purge(mesh.state)
    assert [path.name for path in mesh.state.iterdir()] == ["notes.txt"]


def test_a_link_is_removed_not_followed(mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (mesh.folder() / "lake").symlink_to(tmp_path / "elsewhere")
    purge(mesh.state)
    assert (tmp_path / "elsewhere" / "file").exists()


def test_purging_nothing(mesh: Mesh) -> None:
    purge(mesh.state)
