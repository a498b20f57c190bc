"""The peers' own virtual environment: their pins clash with ours. Made once from `requirements/peers.lock`, in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from weir_local.mesh import program

INSTALL_SECONDS: Final = 600
_WHOLE: Final = ".whole"


def peers_python(lock: Path, cache: Path) -> Path:
    """The interpreter of the environment that this very lock gives. CalledProcessError if it cannot be installed."""
    folder = cache / f"peers-venv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    interpreter = folder / "bin" / "python"
    if (folder / _WHOLE).is_file():
        return interpreter
    uv = program("uv")
    assert uv is not None, "make setup installs uv"
    print(f"installing the peers into {folder} (the first time about a minute)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        ("venv", "--quiet", "--python", sys.executable, str(folder)),
        ("pip", "sync", "--quiet", "--require-hashes", "--python", str(interpreter), str(lock)),
    ):
        subprocess.run((str(uv), *command), check=True, timeout=INSTALL_SECONDS)
    (folder / _WHOLE).touch()
    return interpreter


def locked_versions(lock: Path) -> dict[str, str]:
    """Name → version of everything that the lock pins."""
    pins = (line.split()[0].split("==") for line in lock.read_text().splitlines() if "==" in line)
    return {name: version for name, version in pins}  # noqa: C416 - pairs, not two columns
