"""By which user PostgreSQL is run, for each kind of machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from weir_local import privileges
from weir_local.privileges import Runner, copy_binaries, foreign_folder, postgres_runner


@pytest.fixture
def foreign_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(privileges, "FOREIGN_ROOT", tmp_path / "foreign")
    return tmp_path / "foreign"


def _as_root(monkeypatch: pytest.MonkeyPatch, *, namespaces: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(privileges, "user_namespaces_work", lambda: namespaces)


@pytest.mark.usefixtures("foreign_root")
def test_an_ordinary_user_runs_it_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    runner = postgres_runner(tmp_path, Path("/opt/pg"))
    assert runner.command("postgres", "-D", "x") == ("/opt/pg/bin/postgres", "-D", "x")
    assert runner.data == tmp_path / "postgres" / "data"


@pytest.mark.usefixtures("foreign_root")
def test_root_runs_it_in_a_user_namespace_with_files_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_root(monkeypatch, namespaces=True)
    runner = postgres_runner(tmp_path, Path("/opt/pg"))
    assert runner.command("postgres")[-2:] == ("namespace", "/opt/pg/bin/postgres")
    assert runner.data == tmp_path / "postgres" / "data"
    assert runner.owner is None


def test_root_without_namespaces_uses_another_user_and_folder(
    tmp_path: Path, foreign_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_root(monkeypatch, namespaces=False)
    runner = postgres_runner(tmp_path, Path("/opt/pg"))
    assert runner.data.is_relative_to(foreign_root)
    assert runner.owner == "nobody"
    assert runner.command("postgres")[-2] == "user"


def test_data_stay_where_they_are_when_namespaces_begin_to_work(
    tmp_path: Path, foreign_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_root(monkeypatch, namespaces=True)
    foreign_folder(tmp_path).mkdir(parents=True)
    assert postgres_runner(tmp_path, Path("/opt/pg")).data.is_relative_to(foreign_root)


def test_two_checkouts_have_two_folders(tmp_path: Path) -> None:
    assert foreign_folder(tmp_path / "a") != foreign_folder(tmp_path / "b")


def test_binaries_are_copied_once_and_whole(tmp_path: Path) -> None:
    installed = tmp_path / "pg"
    (installed / "bin").mkdir(parents=True)
    (installed / "bin" / "postgres").write_text("x")
    runner = Runner(tmp_path / "foreign" / "pgsql", tmp_path / "foreign")
    copy_binaries(runner, installed)
    (installed / "bin" / "postgres").write_text("newer")
    copy_binaries(runner, installed)
    assert (runner.binaries / "bin" / "postgres").read_text() == "x"
    copy_binaries(Runner(installed, tmp_path), installed)
    assert not (tmp_path / ".pgsql").exists()
