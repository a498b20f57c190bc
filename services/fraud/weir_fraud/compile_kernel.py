"""`python -m weir_fraud.compile_kernel`: compile what would else be compiled at the first start. Part of the build of an image."""

from __future__ import annotations

import sys
import time

from weir_fraud.adapters.aggregate_kernel import Kernel, from_disk
from weir_fraud.domain.catalogue import load_catalogue


def main() -> int:
    """0: it lies on the disk. 1: it could be compiled, but not be kept."""
    began = time.perf_counter()
    Kernel(load_catalogue().plan).warm()
    where = from_disk().folder
    if where is None:
        sys.stderr.write("the kernel was compiled, but there is no folder in which it could be kept\n")
        return 1
    sys.stdout.write(f"the kernel lies in {where} ({time.perf_counter() - began:.1f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
