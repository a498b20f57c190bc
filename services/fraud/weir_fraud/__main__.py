"""``python -m weir_fraud``: read the settings, build, run until SIGTERM."""

from __future__ import annotations

from weir_common.service import run

from weir_fraud.bootstrap import build
from weir_fraud.settings import FraudSettings

if __name__ == "__main__":
    run("fraud", FraudSettings(), build)  # the values come from the environment
