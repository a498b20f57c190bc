# ruff: noqa: E501
"""``make bench-handbook``: features against the published values, and the protocol's four folds through the live path.

Needs ``WEIR_DATA`` and a mesh (``weir up``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from weir_local.demo.report import environment, write
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.handbook.features import measure_features
from weir_bench.handbook.folds import TRAINING_DAYS, measure_folds
from weir_bench.handbook.published import LONGEST_WINDOW_DAYS, PUBLISHED_DAYS
from weir_bench.shown import show


def main() -> None:
    """Run it; exits 1 if a bound is not met."""
    parser = argparse.ArgumentParser(prog="make bench-handbook", description=__doc__)
    parser.add_argument("--part", choices=("features", "folds", "both"), default="both", help="default: %(default)s")
    parser.add_argument(
        "--days",
        default=f"{PUBLISHED_DAYS[0] - LONGEST_WINDOW_DAYS}-{PUBLISHED_DAYS[1]}",
        help="of the features: first day and the one after the last, counted from 2018-04-01; 0-183 are all (default: %(default)s, what the published features need)",
    )
    parser.add_argument("--training-days", type=int, default=TRAINING_DAYS, help="of each fold (default: %(default)s)")
    chosen = parser.parse_args()
    mesh = Mesh.at(default_state_directory(os.environ, Path.cwd()), default_cache_directory(os.environ))
    folder = Path(os.environ.get("WEIR_DATA", "../shared/data")) / "handbook"
    measures = []
    if chosen.part != "folds":
        first, end = (int(day) for day in chosen.days.split("-"))
        measures += asyncio.run(measure_features(mesh, folder, (first, end)))
    if chosen.part != "features":
        measures += asyncio.run(measure_folds(mesh, folder, chosen.training_days))
    path = mesh.state / "bench" / "handbook.json"
    met = write(path, measures, environment(Path.cwd()), arguments=vars(chosen))
    show(measures)
    sys.stdout.write(f"  {path}\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
