"""``python -m weir_fraud.training --output DIR``: train the fraud model, or take it from the cache when nothing has changed."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from weir_fraud.errors import ModelRefused
from weir_fraud.training.artifacts import cached, is_whole, training_key, write


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """0 when the folder holds the model of this code."""
    parser = argparse.ArgumentParser(prog="python -m weir_fraud.training", description=__doc__)
    parser.add_argument("--output", type=Path, default=environment.get("WEIR_FRAUD_MODEL_DIR"), help="where to write")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(environment.get("WEIR_CACHE_DIR") or Path.home() / ".cache" / "weir"),
        help="trained models, by what made them (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=20260105)
    chosen = parser.parse_args(arguments)
    if chosen.output is None:
        parser.error("say where by --output or WEIR_FRAUD_MODEL_DIR")
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:6.1f} s  {line}\n")
        sys.stdout.flush()

    key = training_key(chosen.seed)
    if is_whole(chosen.output, key):
        say(f"{chosen.output} holds the model of this code already")
        return 0

    def make() -> Mapping[str, bytes]:
        # Imported here: the libraries take a second, which a cached model does not need.
        from weir_fraud.training.train import train

        return train(chosen.seed, key, say)

    try:
        folder = cached(chosen.cache, key, make)
    except ModelRefused as error:
        say(f"the model is refused: {error}")
        return 1
    write(chosen.output, {path.name: path.read_bytes() for path in folder.iterdir()})
    say(f"model written to {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
