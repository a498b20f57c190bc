"""``python -m weir_local.testrun``: bring up a mesh for tests, run what needs it, take it down; the exit code is pytest's.

The mesh has its own state directory (``.weir-test``), so that a demo that runs beside it is not disturbed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

UP_SECONDS = 45 * 60
PYTEST_SECONDS = 30 * 60
DOWN_SECONDS = 120


def main() -> int:
    """Run it; further arguments go to pytest."""
    state = Path.cwd() / ".weir-test"
    environment = {**os.environ, "WEIR_STATE_DIR": str(state)}
    weir = str(Path(sys.executable).with_name("weir"))
    started = time.monotonic()
    subprocess.run(
        [weir, "down", "--purge"], env=environment, check=True, timeout=DOWN_SECONDS, stdout=subprocess.DEVNULL
    )
    try:
        up = subprocess.run([weir, "up", "--kubernetes"], env=environment, check=False, timeout=UP_SECONDS)
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
        subprocess.run(
            [weir, "down", "--purge"], env=environment, check=False, timeout=DOWN_SECONDS, stdout=subprocess.DEVNULL
        )


if __name__ == "__main__":
    sys.exit(main())
