"""docker-compose.yml loaded by the library that Docker Compose loads it with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from weir_local.compose import document, secrets
from weir_local.compose.check import BadComposeFile, load
from weir_local.environment import SERVICES
from weir_local.mesh import default_cache_directory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    secrets.make(tmp_path)
    return Path(shutil.copy(ROOT / "docker-compose.yml", tmp_path / "docker-compose.yml"))


async def test_it_loads_and_each_service_has_all_its_variables(project: Path) -> None:
    loaded = await load(default_cache_directory(os.environ), project)
    assert set(SERVICES) < set(loaded["services"])
    for service in SERVICES:
        public, secret = document.environment(service)
        environment = loaded["services"][service]["environment"]
        assert set(environment) == set(public) | set(secret)
        assert not [name for name, value in environment.items() if "planted-password" in value]
    assert {condition["condition"] for condition in loaded["services"]["gateway"]["depends_on"].values()} == {
        "service_healthy"
    }


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("healthcheck:", "helthcheck:", "helthcheck"),
        ("condition: service_healthy", "condition: service_helthy", "condition"),
        ("- postgres:/var/lib", "- postgers:/var/lib", "postgers"),
        ("- inside", "- outside", "outside"),
    ],
)
async def test_a_mistake_is_refused(project: Path, old: str, new: str, complaint: str) -> None:
    project.write_text(project.read_text().replace(old, new, 1))
    with pytest.raises(BadComposeFile, match=complaint):
        await load(default_cache_directory(os.environ), project)


async def test_without_its_secrets_it_is_refused(tmp_path: Path) -> None:
    alone = Path(shutil.copy(ROOT / "docker-compose.yml", tmp_path / "docker-compose.yml"))
    with pytest.raises(BadComposeFile, match="env file"):
        await load(default_cache_directory(os.environ), alone)
