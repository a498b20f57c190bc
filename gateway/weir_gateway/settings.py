"""Settings of the gateway, from ``WEIR_GATEWAY_*``; the same for the native mesh, compose and Kubernetes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Upstream(BaseModel):
    """Where one service listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    http_port: int
    grpc_port: int


class GatewaySettings(BaseSettings):
    """Listeners, certificates, upstreams and limits.

    ``requests_per_second`` and ``burst`` are one bucket a tenant; ``max_tenants`` is how many buckets are kept at once
    (Envoy's own default of 20 would let a limited tenant through as soon as 21 are active, since an evicted bucket comes back full).
    """

    model_config = SettingsConfigDict(
        env_prefix="WEIR_GATEWAY_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    listen_host: str = "127.0.0.1"
    https_port: int
    grpc_port: int
    admin_port: int
    admin_host: str = "127.0.0.1"
    certificate_path: Path
    private_key_path: Path
    client_ca_path: Path
    jwks_path: Path
    jwt_issuer: str = "https://weir.example/tenant-admin"
    jwt_audience: str = "weir"
    access_log_path: str = "/dev/stdout"
    otlp_host: str | None = None
    otlp_port: int | None = None
    trace_sample_percent: float = Field(default=1.0, ge=0, le=100)
    max_body_bytes: int = Field(default=16 * 1_048_576, ge=1)
    requests_per_second: int = Field(default=1_000, ge=1)
    burst: int = Field(default=2_000, ge=1)
    max_tenants: int = Field(default=10_000, ge=1)
    max_connections: int = Field(default=10_000, ge=1)
    ingest: Upstream
    fraud: Upstream
    anomaly: Upstream
    analytics: Upstream
    compliance: Upstream
    tenant_admin: Upstream
