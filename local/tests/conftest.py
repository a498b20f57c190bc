"""Meshes in temporary folders. Unit tests start at most `sleep`; nothing here touches the developer's own mesh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from weir_local.mesh import Mesh
from weir_local.ports import Ports
from weir_local.processes import Processes


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    """A mesh that exists only as a folder; every port counts as free."""
    state = tmp_path / "state"
    return Mesh(state, tmp_path / "cache", ports=Ports(state / "ports.json", str(state), free=lambda _: True))


@pytest.fixture
async def processes(mesh: Mesh) -> AsyncIterator[Processes]:
    """The mesh's processes; whatever a test leaves running is killed."""
    mesh.folder()
    mine = Processes(mesh.state)
    yield mine
    await mine.kill_marked()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return make
