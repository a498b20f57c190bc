"""`mesh.json`: kept up to date piece by piece, readable at every moment."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from weir_local.component import Component
from weir_local.mesh import Mesh
from weir_local.status import Status, read_mesh_file, write_mesh_file


class _Named:
    def __init__(self, name: str, ports: tuple[str, ...] = ()) -> None:
        self.name, self.ports = name, ports


COMPONENTS = cast("list[Component]", [_Named("a", ("a-http",)), _Named("b")])


def test_what_is_not_mentioned_stays(mesh: Mesh) -> None:
    mesh.folder()
    write_mesh_file(mesh, COMPONENTS, [Status("b", "running", pid=2)], remember_parts=True)
    write_mesh_file(mesh, COMPONENTS, [Status("a", "failed", "no")], remember_parts=True)
    components = read_mesh_file(mesh.state)["components"]
    assert list(components) == ["a", "b"]
    assert components["a"]["ports"] == {"a-http": mesh.port("a-http")}
    assert components["b"]["pid"] == 2


def test_only_a_start_says_whether_there_is_a_control_plane(mesh: Mesh) -> None:
    mesh.folder()
    with_control_plane = replace(mesh, kubernetes=True)
    write_mesh_file(with_control_plane, COMPONENTS, [Status("a", "stopped")], remember_parts=False)
    assert read_mesh_file(mesh.state)["kubernetes"] is False
    write_mesh_file(with_control_plane, COMPONENTS, [Status("a", "running")], remember_parts=True)
    write_mesh_file(mesh, COMPONENTS, [Status("a", "stopped")], remember_parts=False)
    assert read_mesh_file(mesh.state)["kubernetes"] is True


def test_no_file_and_a_broken_file_are_an_empty_document(mesh: Mesh) -> None:
    assert read_mesh_file(mesh.state) == {}
    (mesh.folder() / "mesh.json").write_text('{"components": ')
    assert read_mesh_file(mesh.state) == {}
