"""``python -m weir_local.testrun``: bring up a mesh for tests, run what needs it, take it down; the exit code is pytest's.

The mesh has its own state directory (``.weir-test``), so that a demo that runs beside it is not disturbed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

PYTEST_SECONDS = 40 * 60


def main() -> int:
    """Run it."""
    root = Path.cwd()
    state = root / ".weir-test"
    environment = {**os.environ, "WEIR_STATE_DIR": str(state)}
    weir = [sys.executable, "-m", "weir_local.cli"]
    started = time.monotonic()
    subprocess.run([*weir, "down", "--purge"], env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)
    try:
        up = subprocess.run([*weir, "up", "--kubernetes"], env=environment, check=False, timeout=1_800)
        if up.returncode != 0:
            print("the test mesh did not start; see the lines above", file=sys.stderr)
            return up.returncode
        print(f"test mesh up after {time.monotonic() - started:.0f} s", flush=True)
        tests = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "integration or e2e or kubernetes", *sys.argv[1:]],
            env=environment,
            check=False,
            timeout=PYTEST_SECONDS,
        )
        return tests.returncode
    finally:
        subprocess.run([*weir, "down", "--purge"], env=environment, check=False, timeout=120, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
