"""``python -m weir_common.events.snapshots``: write the newest version's JSON Schema beside those that are published.

A published schema is never written again: whoever wants it to differ wants a new version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from weir_common.events.schema import event_json_schema
from weir_common.events.versions import SCHEMA_VERSION, SCHEMA_VERSIONS

FOLDER: Final = Path(__file__).parent / "schemas"


def snapshot(version: str) -> dict[str, Any]:
    """The committed schema of a version."""
    found: dict[str, Any] = json.loads(_path(version).read_text("utf-8"))
    return found


def write_missing_and_newest() -> None:
    """Write the newest version's, and those that were never written."""
    for version in SCHEMA_VERSIONS:
        if version == SCHEMA_VERSION or not _path(version).exists():
            text = json.dumps(event_json_schema(version), indent=1, ensure_ascii=False) + "\n"
            _path(version).write_text(text, "utf-8")


def _path(version: str) -> Path:
    return FOLDER / f"event-{version}.json"


if __name__ == "__main__":
    write_missing_and_newest()
