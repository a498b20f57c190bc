"""The process that atheris drives: one input after the other through the oracle. Started by ``weir_bench.fuzz.decoder``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["weir_common.events", "weir_common.http", "weir_ingest.domain"]):
    from weir_bench.fuzz.oracle import check_request


def main() -> None:
    """Ends the process by itself: with 0 after its time, otherwise at the first input that breaks the oracle."""
    atheris.Setup(sys.argv, check_request)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
