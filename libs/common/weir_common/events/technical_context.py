"""How the event came about: machines, timings, security, lineage."""

from __future__ import annotations

from typing import Annotated, Literal

from weir_common.events.part import SINCE_2_2, Part
from weir_common.events.privacy import CREDENTIAL, NETWORK, NETWORK_KIND, OPERATIONS, RISK, WORDS
from weir_common.events.scalars import HttpStatus, Integer, Milliseconds, ShortText, SystemNumber, Text


class InfrastructureMetadata(Part):
    processing_region: Annotated[ShortText | None, OPERATIONS] = None
    availability_zone: Annotated[ShortText | None, OPERATIONS] = None
    server_instance: Annotated[ShortText | None, OPERATIONS] = None
    load_balancer: Annotated[ShortText | None, OPERATIONS] = None
    cdn_edge_location: Annotated[ShortText | None, OPERATIONS] = None


class PerformanceTelemetry(Part):
    request_id: Annotated[ShortText | None, OPERATIONS] = None
    trace_id: Annotated[ShortText | None, OPERATIONS] = None
    parent_span_id: Annotated[ShortText | None, OPERATIONS] = None
    processing_time_ms: Annotated[Milliseconds | None, OPERATIONS] = None
    memory_usage_mb: Annotated[float | None, OPERATIONS] = None
    cpu_utilization: Annotated[float | None, OPERATIONS] = None
    network_latency_ms: Annotated[Milliseconds | None, OPERATIONS] = None
    database_query_time_ms: Annotated[Milliseconds | None, OPERATIONS] = None
    cache_hit_ratio: Annotated[float | None, OPERATIONS] = None


class SecurityFlags(Part):
    suspicious_user_agent: Annotated[bool | None, RISK] = None
    tor_exit_node: Annotated[bool | None, RISK] = None
    known_bot: Annotated[bool | None, RISK] = None
    geo_blocked: Annotated[bool | None, RISK] = None


class ClientNetwork(Part):
    """From where the request came, hashed by the sender. New in 2.2."""

    address_hash: Annotated[Text | None, NETWORK] = None
    prefix_hash: Annotated[Text | None, NETWORK] = None
    asn: Annotated[SystemNumber | None, NETWORK_KIND] = None
    kind: Annotated[
        Literal["residential", "mobile", "hosting", "vpn", "relay", "tor", "satellite"] | None, NETWORK_KIND
    ] = None


class SecurityContext(Part):
    request_signature: Annotated[Text | None, CREDENTIAL] = None
    api_key_hash: Annotated[Text | None, CREDENTIAL] = None
    rate_limit_remaining: Annotated[Integer | None, OPERATIONS] = None
    security_flags: SecurityFlags | None = None
    client_network: Annotated[ClientNetwork | None, SINCE_2_2] = None
    http_status: Annotated[HttpStatus | None, OPERATIONS, SINCE_2_2] = None
    route: Annotated[ShortText | None, WORDS, SINCE_2_2] = None


class DataLineage(Part):
    upstream_systems: Annotated[list[ShortText] | None, OPERATIONS] = None
    transformation_applied: Annotated[list[ShortText] | None, OPERATIONS] = None
    downstream_targets: Annotated[list[ShortText] | None, OPERATIONS] = None


class TechnicalContext(Part):
    infrastructure_metadata: InfrastructureMetadata | None = None
    performance_telemetry: PerformanceTelemetry | None = None
    security_context: SecurityContext | None = None
    data_lineage: DataLineage | None = None
