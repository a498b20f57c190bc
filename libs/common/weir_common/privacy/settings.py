"""Settings of the vault, a section of each service that seals or opens."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from weir_common.settings import PostgresSettings, Section


class VaultSettings(Section):
    """``postgres`` is the vault's own role, and may be a database of its own. ``root_key_path``: 32 bytes, outside every backup.

    ``deadline_seconds``: for all that one batch asks the vault. An erasure is seen after ``mark_seconds`` (`vault`).
    """

    postgres: PostgresSettings
    root_key_path: Path
    deadline_seconds: float = Field(default=5.0, gt=0)
    subjects: int = Field(default=100_000, ge=1)
    tenants: int = Field(default=10_000, ge=1)
    mark_seconds: float = Field(default=1.0, gt=0)
    mark_seconds_without_answer: float = Field(default=30.0, gt=0)
