"""Settings of compliance: environment variables with the prefix `WEIR_COMPLIANCE_`."""

from pathlib import Path

from pydantic import Field
from weir_common.privacy.settings import VaultSettings
from weir_common.settings import (
    PeerSettings,
    Section,
    ServiceSettings,
    TemporalSettings,
    service_config,
)

_MINUTE = 60.0
_DAY = 86_400.0


class ExportSettings(Section):
    """`dir` is shared by all instances. `key_path` holds the export keys, base64, the current one first."""

    dir: Path
    key_path: Path
    link_seconds: float = Field(default=7 * _DAY, gt=0)
    """How long an archive can be fetched; then it is deleted and its key destroyed."""
    store_timeout_seconds: float = Field(default=10 * _MINUTE, gt=0)
    """For one attempt at one store, from call to last record."""
    store_idle_seconds: float = Field(default=30.0, gt=0)
    """For the next record of a stream."""
    store_late_after_seconds: float = Field(default=15 * _MINUTE, gt=0)
    """A store that has not delivered by then is escalated; it is still waited for."""
    warn_before_due_seconds: tuple[float, ...] = (10 * _DAY, 3 * _DAY)
    """Escalate an unfinished request this long before its answer is due."""


class Settings(ServiceSettings):
    """All of them. Every peer is required: a store that is not asked would make an export wrongly complete."""

    model_config = service_config("WEIR_COMPLIANCE_")

    temporal: TemporalSettings
    vault: VaultSettings
    peers: PeerSettings
    exports: ExportSettings
    task_queue: str = "weir.compliance"
    token_periods_kept: int = Field(default=6, ge=1)
    """The retention of fraud evidence in quarters before the present one: link tokens' keys that are older are destroyed. Six are 540 days, as
    long as a payment may be disputed."""
