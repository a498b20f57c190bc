"""``python -m weir_local.compose write|secrets``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from weir_local.compose import document, secrets

ROOT = Path(__file__).parents[3]


def main() -> int:
    """Write docker-compose.yml, or what it mounts."""
    parser = argparse.ArgumentParser(prog="python -m weir_local.compose", description=main.__doc__)
    parser.add_argument("what", choices=("write", "secrets"))
    if parser.parse_args().what == "write":
        (ROOT / "docker-compose.yml").write_text(document.text())
        print("docker-compose.yml is written")
    else:
        print(f"passwords, keys and certificates are in {secrets.make(ROOT)}; now: docker compose up --build")
    return 0


if __name__ == "__main__":
    sys.exit(main())
