"""Settings are environment variables, read once into frozen objects. A secret has no default.

Every service has one prefix (``WEIR_INGEST_``) and nests with two underscores (``WEIR_INGEST_KAFKA__BOOTSTRAP_SERVERS``).
The native mesh, docker-compose.yml and k8s/ differ only in these variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Section(BaseModel):
    """A group of settings; frozen, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenSettings(Section):
    """Where the service listens. Port 0 lets the system choose one (tests)."""

    host: str = "127.0.0.1"
    http_port: int = Field(ge=0, le=65535)
    grpc_port: int = Field(ge=0, le=65535)


class PostgresSettings(Section):
    """``dsn`` is the application role (row level security binds it); ``owner_dsn`` runs migrations only."""

    dsn: SecretStr
    owner_dsn: SecretStr
    min_size: int = Field(default=1, ge=0)
    max_size: int = Field(default=8, ge=1)
    statement_timeout_seconds: float = Field(default=5.0, gt=0)
    connect_timeout_seconds: float = Field(default=5.0, gt=0)


class KafkaSettings(Section):
    """``host:port[,host:port]``. ``replication_factor`` is that of topics that we create: 1 on one broker, 3 in production."""

    bootstrap_servers: str
    replication_factor: int = Field(default=1, ge=1)
    request_timeout_seconds: float = Field(default=10.0, gt=0)
    compression: Literal["snappy", "zstd"] = "snappy"
    """Of what we write. snappy costs a third of zstd's processor time for one writer and four readers, and a third more of the log:
    ``python -m weir_bench.compression``."""


class ValkeySettings(Section):
    """``redis://user:password@host:port/0``."""

    url: SecretStr
    max_connections: int = Field(default=16, ge=1)
    timeout_seconds: float = Field(default=1.0, gt=0)


class TemporalSettings(Section):
    """``host:port`` of the frontend."""

    target: str
    namespace: str = "default"


class TelemetrySettings(Section):
    """Without an OTLP endpoint spans are not exported; metrics are always served on ``/metrics``."""

    otlp_endpoint: str | None = None
    environment: str = "local"
    log_level: str = "INFO"


class AuthSettings(Section):
    """``jwks_path`` holds the public keys (RFC 7517) that sign people's tokens; it is read again when it changes."""

    jwks_path: Path
    issuer: str = "https://weir.example/tenant-admin"
    audience: str = "weir"


class PeerSettings(Section):
    """``host:port`` of the other services' gRPC."""

    ingest: str | None = None
    fraud: str | None = None
    anomaly: str | None = None
    analytics: str | None = None
    compliance: str | None = None
    tenant_admin: str | None = None


def service_config(prefix: str) -> SettingsConfigDict:
    """The settings configuration of one service: its prefix, frozen, ``__`` nests."""
    return SettingsConfigDict(env_prefix=prefix, env_nested_delimiter="__", frozen=True, extra="ignore")


class EdgeSettings(BaseSettings):
    """What every service needs; subclasses set ``model_config = service_config("WEIR_<SERVICE>_")``."""

    listen: ListenSettings
    kafka: KafkaSettings
    auth: AuthSettings
    telemetry: TelemetrySettings = TelemetrySettings()


class ServiceSettings(EdgeSettings):
    """A service that keeps tables, too."""

    postgres: PostgresSettings
