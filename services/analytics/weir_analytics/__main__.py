"""``python -m weir_analytics``: read the settings, build, run until SIGTERM."""

from __future__ import annotations

from weir_common.service import run

from weir_analytics.bootstrap import build
from weir_analytics.settings import AnalyticsSettings

if __name__ == "__main__":
    run("analytics", AnalyticsSettings(), build)  # the values come from the environment
