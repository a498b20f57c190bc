"""Which path goes to which service, for how long, and whether it may be tried again. One line a route; the first match wins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """``prefix`` or exact ``path``. ``retry``: the answer of another attempt would be the same, whatever the first did."""

    prefix: str
    service: str
    timeout_seconds: float
    retry: bool = False
    exact: bool = False
    anonymous: bool = False


ROUTES: tuple[Route, ...] = (
    # Sending a batch again is safe (receipts, and the consumers' duplicate window), but only the sender knows whether it is
    # still wanted: the gateway tries again only when no connection was made.
    Route("/api/v2/events/", "ingest", 15),
    Route("/api/v2/schemas/", "ingest", 5, retry=True, anonymous=True),
    Route("/api/v2/ml/", "fraud", 2),
    Route("/api/v2/anomalies", "anomaly", 5, retry=True),
    Route("/api/v2/analytics/", "analytics", 10, retry=True),
    Route("/api/v2/data/", "compliance", 60),
    Route("/api/v2/audit/", "compliance", 15, retry=True),
    Route("/api/v2/compliance/", "compliance", 10, retry=True),
    Route("/api/v2/auth/", "tenant_admin", 5, anonymous=True),
    Route("/api/v2/admin/", "tenant_admin", 30),
    Route("/api/v2/metrics/", "tenant_admin", 10, retry=True),
    Route("/api/v2/ops/", "tenant_admin", 15),
)

SERVICES: tuple[str, ...] = ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant_admin")

GRPC_SERVICES: dict[str, str] = {
    "weir.ingest.v1.IngestService": "ingest",
    "weir.fraud.v1.FraudService": "fraud",
    "weir.anomaly.v1.AnomalyService": "anomaly",
    "weir.analytics.v1.AnalyticsService": "analytics",
    "weir.compliance.v1.ComplianceService": "compliance",
    "weir.admin.v1.TenantService": "tenant_admin",
}
"""gRPC for internal systems. Subject data is not here: only compliance may ask for it, and it asks the services themselves."""

GRPC_STREAMS: dict[str, str] = {"/weir.ingest.v1.IngestService/Publish": "ingest"}
"""Methods whose caller sends a stream, which may stay open for hours."""
