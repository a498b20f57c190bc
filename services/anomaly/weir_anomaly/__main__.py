"""``python -m weir_anomaly``: read the settings, build, run until SIGTERM."""

from __future__ import annotations

from weir_common.service import run

from weir_anomaly.bootstrap import build
from weir_anomaly.settings import AnomalySettings

if __name__ == "__main__":
    run("anomaly", AnomalySettings(), build)  # the values come from the environment
