"""Folders and secrets of a mesh."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory


def test_a_secret_is_made_once_and_closed_to_others(mesh: Mesh) -> None:
    first = mesh.secret("postgres-weir_fraud")
    assert len(first) == 40
    assert mesh.secret("postgres-weir_fraud") == first
    assert mesh.secret("postgres-weir_ingest") != first
    file = mesh.state / "secrets" / "postgres-weir_fraud"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_race_for_a_secret_has_one_winner(mesh: Mesh) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: mesh.secret("x"), range(32)))) == 1
    assert [path.name for path in (mesh.state / "secrets").iterdir()] == ["x"]


def test_a_secret_that_cannot_be_made_leaves_nothing(mesh: Mesh) -> None:
    def fail() -> bytes:
        raise RuntimeError("no entropy")

    with pytest.raises(RuntimeError):
        mesh.secret_file("x", fail)
    assert list((mesh.state / "secrets").iterdir()) == []


def test_building_a_mesh_touches_no_disk(tmp_path: Path) -> None:
    made = Mesh.at(tmp_path / "nowhere", tmp_path / "cache")
    made.log("kafka")
    assert list(tmp_path.iterdir()) == []


def test_the_state_directory_is_that_of_the_checkout_around(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = []\n")
    deep = tmp_path / "services" / "fraud"
    deep.mkdir(parents=True)
    (deep / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert default_state_directory({}, deep) == tmp_path / ".weir"
    assert default_state_directory({"WEIR_STATE_DIR": str(tmp_path / "other")}, deep) == tmp_path / "other"


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    assert default_cache_directory({"WEIR_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert default_cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "weir"
