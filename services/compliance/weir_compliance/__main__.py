"""`python -m weir_compliance`: read settings, build, run until SIGTERM; nothing else."""

from weir_common.service import run

from weir_compliance.bootstrap import build
from weir_compliance.settings import Settings

if __name__ == "__main__":
    run("compliance", Settings(), build)  # the values come from the environment
