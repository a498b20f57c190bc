"""Generate the Python of every .proto into gen/weir: messages, their types, and gRPC stubs. Run by ``make proto``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).parent


def generate(target: Path) -> None:
    """Write everything anew below ``target``; what is no longer defined disappears."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "weir").rglob("*.proto"))
    package = target / "weir"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    code = protoc.main(
        [
            "protoc",
            f"-I{ROOT}",
            f"-I{well_known}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            *(str(ROOT / source) for source in sources),
        ]
    )
    if code != 0:
        sys.exit(code)
    for folder in (package, *(path for path in package.rglob("*") if path.is_dir())):
        (folder / "__init__.py").touch()
    (package / "py.typed").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
