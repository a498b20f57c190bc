"""`python -m weir_fraud.replay_set FOLDER`: make a replay set (`make replay-set`). A folder that is there is left as it is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from weir_fraud.replay_set.make import make_set


def main(arguments: list[str]) -> int:
    """0: made. 2: not, and why."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m weir_fraud.replay_set FOLDER\n")
        return 2
    folder = Path(arguments[0])
    try:
        document = asyncio.run(make_set(folder))
    except FileExistsError:
        sys.stderr.write(f"{folder} is there: what was decided is not decided anew. Name the next version.\n")
        return 2
    sys.stdout.write(f"{folder}: {len(document.decisions)} decisions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
