"""Settings of tenant-admin; every name is ``WEIR_TENANT_ADMIN_…``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from weir_common.settings import (
    PeerSettings,
    Section,
    ServiceSettings,
    TemporalSettings,
    ValkeySettings,
    service_config,
)

PREFIX = "WEIR_TENANT_ADMIN_"


class KubernetesSettings(Section):
    """An empty ``kubeconfig`` means that there is no control plane: plans work, applying answers 503."""

    kubeconfig: Path | None = None
    request_timeout_seconds: float = Field(default=5.0, gt=0)
    image: str = "weir/{service}:dev"
    """The image of a tenant's consumers; ``{service}`` is the service's name."""

    @field_validator("kubeconfig", mode="before")
    @classmethod
    def _empty_means_none(cls, value: object) -> object:
        return None if value == "" else value


class ExternalMetricsSettings(Section):
    """The TLS server that kube-apiserver asks; without ``port`` it does not run."""

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)
    cert_path: Path | None = None
    key_path: Path | None = None
    client_ca_path: Path | None = None
    allowed_names: tuple[str, ...] = ("front-proxy-client",)
    """Common names of client certificates that may speak for others (``--requestheader-allowed-names``)."""


class ScalingSettings(Section):
    """How plans are made and followed. Defaults are those of the tenancy design, section b."""

    utilisation: float = Field(default=0.7, gt=0, le=1)
    drain_seconds: float = Field(default=60.0, gt=0)
    scale_down_window_seconds: int = Field(default=300, ge=0, le=3600)
    step_period_seconds: int = Field(default=30, ge=1, le=1800)
    cost_per_replica_hour: int = Field(default=40_000, ge=0)
    """In millionths of the currency."""
    metric_period_seconds: float = Field(default=5.0, gt=0)
    """A sample older than three of these is not given out: the controller then holds."""
    controller_wait_seconds: float = Field(default=60.0, gt=0)
    plan_lifetime_seconds: int = Field(default=900, ge=1)


class HttpProbeSettings(Section):
    """Where each service answers /readyz."""

    ingest: str | None = None
    fraud: str | None = None
    anomaly: str | None = None
    analytics: str | None = None
    compliance: str | None = None
    tenant_admin: str | None = None


class ProbeSettings(Section):
    """What detailed health asks beside the stores; an address that is not set is reported as not configured."""

    gateway_admin_url: str | None = None
    traces_url: str | None = None
    http: HttpProbeSettings = HttpProbeSettings()
    deadline_seconds: float = Field(default=2.0, gt=0)


class Settings(ServiceSettings):
    """Everything that tenant-admin reads from its environment."""

    model_config = service_config(PREFIX)

    valkey: ValkeySettings
    temporal: TemporalSettings
    peers: PeerSettings = PeerSettings()
    signing_key_path: Path
    """PEM of the Ed25519 key that signs tokens; its public half must be in ``auth.jwks_path``."""
    bootstrap_key_path: Path | None = None
    """A file with the first operator's API key, made by the launcher; only its hash is kept."""
    kubernetes: KubernetesSettings = KubernetesSettings()
    external_metrics: ExternalMetricsSettings = ExternalMetricsSettings()
    scaling: ScalingSettings = ScalingSettings()
    probes: ProbeSettings = ProbeSettings()
