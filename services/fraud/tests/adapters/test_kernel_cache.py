"""What is compiled when an image is built is found by a container that may write nowhere, as another user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from weir_fraud.adapters.aggregate_kernel import Kernel, from_disk
from weir_fraud.compile_kernel import main
from weir_fraud.domain.catalogue import Catalogue

ROOT = Path(__file__).parents[4]
NOBODY = 65_534
MODULE = """
from weir_fraud.adapters.kernel_cache import compiled

@compiled
def twice(number):
    return number * 2
"""
ASK = """
import json
from small import twice
answer, stats = twice(21), twice.stats
print(json.dumps([answer, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


@pytest.fixture
def image() -> Iterator[Path]:
    """A folder with a module that is compiled; others may read it (pytest's own may nobody else)."""
    folder = Path(tempfile.mkdtemp(prefix="weir-kernel-"))
    (folder / "small.py").write_text(MODULE)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        for one in folder.rglob("*"):
            one.chmod(0o755)
        shutil.rmtree(folder)


def asked(image: Path, *, cpu: str | None = "generic", as_nobody: bool) -> list[int]:
    """What it answers, and how often its code was found and compiled."""
    environment = {"PYTHONPATH": str(image), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}  # fmt: skip
    if cpu is not None:
        environment["NUMBA_CPU_NAME"] = cpu
    who: dict[str, Any] = {}
    if as_nobody and os.geteuid() == 0:
        # Root writes whatever the permissions are.
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run([sys.executable, "-c", ASK], cwd="/", env=environment, capture_output=True, text=True, **who)
    if (
        who
        and "small" not in done.stderr
        and ("ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr)
    ):
        pytest.skip("others may not read this checkout, so nobody else can be asked")
    assert done.returncode == 0, done.stderr
    answer: list[int] = json.loads(done.stdout)
    return answer


def locked(image: Path) -> dict[str, bytes]:
    """Nobody may write there any more; what lies there."""
    files = {str(file.relative_to(image)): file.read_bytes() for file in image.rglob("*") if file.is_file()}
    for file in image.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    image.chmod(0o555)
    return files


def test_a_read_only_container_finds_what_the_build_compiled(image: Path) -> None:
    assert asked(image, as_nobody=False) == [42, 0, 1]
    # Layers of an image keep times to the second, and the folder may be another one.
    os.utime(image / "small.py", (1_700_000_000, 1_700_000_000))
    before = locked(image)
    assert any(name.endswith(".nbi") for name in before)
    assert asked(image, as_nobody=True) == [42, 1, 0]
    assert asked(image, as_nobody=True) == [42, 1, 0]
    assert locked(image) == before


def test_what_was_compiled_of_another_source_or_for_another_processor_is_not_used(image: Path) -> None:
    assert asked(image, as_nobody=False) == [42, 0, 1]
    before = locked(image)
    assert asked(image, as_nobody=True, cpu=None) == [42, 0, 1]
    (image / "small.py").chmod(0o644)
    (image / "small.py").write_text(MODULE.replace("number * 2", "number * 1 * 2"))
    assert asked(image, as_nobody=True) == [42, 0, 1]
    del before["small.py"]
    assert before.items() <= locked(image).items()


def test_without_a_build_it_is_compiled_at_each_start(image: Path) -> None:
    locked(image)
    assert asked(image, as_nobody=True) == [42, 0, 1]
    assert [file.name for file in image.rglob("*")] == ["small.py"]


def test_the_kernel_is_kept_and_told_where(capsys: pytest.CaptureFixture[str], catalogue: Catalogue) -> None:
    assert main() == 0
    folder = from_disk().folder
    assert folder is not None
    assert folder in capsys.readouterr().out
    told = from_disk()
    Kernel(catalogue.plan).warm()
    assert from_disk() == told, "one that is compiled in this process is not compiled again"


def test_the_image_is_built_with_the_kernel_for_any_processor() -> None:
    stages = (ROOT / "docker" / "Dockerfile").read_text().split("\nFROM ")
    assert len(stages) == 3
    for stage in stages[1:]:
        assert re.search(r"^(ENV )?\s*NUMBA_CPU_NAME=generic\b", stage, re.MULTILINE)
    install = (ROOT / "docker" / "install.sh").read_text()
    # By the interpreter and from the folder that run it, after the package is there.
    assert install.index("--no-index /wheels/*.whl") < install.index('"$python" -m weir_fraud.compile_kernel')
