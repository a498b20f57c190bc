"""Schema 2.0, where it differs from today's: no ``processing_flags``, and latitude and longitude lie flat in ``geolocation``.

Only what is above a difference is written again; all else is shared, less what is marked as newer.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from weir_common.events import user_context
from weir_common.events.business_context import BusinessContext
from weir_common.events.ml_context import MlContext
from weir_common.events.part import Part
from weir_common.events.scalars import Count, CountryCode, Instant, ShortText, Subtype, TenantName, Text
from weir_common.events.technical_context import TechnicalContext


class Geolocation(Part):
    country: CountryCode | None = None
    region: ShortText | None = None
    city: ShortText | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    accuracy_meters: Annotated[float, Meta(ge=0)] | None = None
    ip_derived: bool | None = None


class SessionAttributes(Part):
    device_fingerprint: Text | None = None
    geolocation: Geolocation | None = None
    user_agent_parsed: user_context.UserAgent | None = None


class SessionData(Part):
    session_id: Text | None = None
    session_start: Instant | None = None
    session_sequence: Count | None = None
    session_attributes: SessionAttributes | None = None


class UserContext(Part):
    user_id: Text | None = None
    anonymous_id: Text | None = None
    session_data: SessionData | None = None
    user_profile: user_context.UserProfile | None = None


class EventData(Part):
    event_type: Literal["user_interaction", "transaction", "system_event", "ml_inference"]
    event_subtype: Subtype
    user_context: UserContext | None = None
    business_context: BusinessContext | None = None
    technical_context: TechnicalContext | None = None


class EventMetadata(Part):
    event_id: UUID
    timestamp: Instant
    source_system: Literal["web_app", "mobile_app", "api", "batch_import"]
    correlation_id: Text | None = None
    causation_id: Text | None = None
    ingestion_timestamp: Instant | None = None
    event_version: ShortText | None = None


class Event(Part):
    """One event of schema 2.0."""

    schema_version: Literal["2.0"]
    tenant_id: TenantName
    event_metadata: EventMetadata
    event_data: EventData
    partition_key: Text | None = None
    ml_context: MlContext | None = None
