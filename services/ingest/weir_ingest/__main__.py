"""``python -m weir_ingest``: read the settings, build, run until SIGTERM."""

from __future__ import annotations

from weir_common.service import run

from weir_ingest.bootstrap import build
from weir_ingest.settings import IngestSettings

if __name__ == "__main__":
    run("ingest", IngestSettings(), build)  # the values come from the environment
