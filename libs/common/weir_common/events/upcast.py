"""Older events as today's: pure functions, one step a version. Nothing is guessed and nothing is lost."""

from __future__ import annotations

import msgspec

from weir_common.events import user_context as today
from weir_common.events import version_2_0
from weir_common.events.event import Event, EventData, EventMetadata
from weir_common.events.rejection import EventRejected
from weir_common.problems import FieldError

GEOLOCATION = "/event_data/user_context/session_data/session_attributes/geolocation"


def upcast(event: version_2_0.Event | Event) -> Event:
    """The event as one of the newest version."""
    if isinstance(event, version_2_0.Event):
        event = from_2_0(event)
    return from_2_1(event) if event.schema_version == "2.1" else event


def from_2_0(event: version_2_0.Event) -> Event:
    """2.0 → 2.1: flat latitude and longitude become coordinates. `EventRejected` if only one of them is there."""
    metadata, data = event.event_metadata, event.event_data
    return Event(
        schema_version="2.1",
        tenant_id=event.tenant_id,
        event_metadata=EventMetadata(
            event_id=metadata.event_id,
            timestamp=metadata.timestamp,
            source_system=metadata.source_system,
            correlation_id=metadata.correlation_id,
            causation_id=metadata.causation_id,
            ingestion_timestamp=metadata.ingestion_timestamp,
            event_version=metadata.event_version,
        ),
        event_data=EventData(
            event_type=data.event_type,
            event_subtype=data.event_subtype,
            user_context=None if data.user_context is None else _user_context(data.user_context),
            business_context=data.business_context,
            technical_context=data.technical_context,
        ),
        partition_key=event.partition_key,
        ml_context=event.ml_context,
    )


def from_2_1(event: Event) -> Event:
    """2.1 → 2.2: all that is new is optional, so only the version changes."""
    return msgspec.structs.replace(event, schema_version="2.2")


def half_a_coordinate(lat: object, lon: object) -> FieldError | None:
    """What is wrong if a 2.0 event has one of ``lat`` and ``lon`` without the other."""
    if (lat is None) == (lon is None):
        return None
    missing, present = ("lat", "lon") if lat is None else ("lon", "lat")
    return FieldError(f"{GEOLOCATION}/{missing}", f"a value, since {present} has one", "nothing")


def has_coordinates(event: Event) -> bool:
    """Whether the event says where the person is, to the degree."""
    user = event.event_data.user_context
    if user is None or user.session_data is None or user.session_data.session_attributes is None:
        return False
    geolocation = user.session_data.session_attributes.geolocation
    return geolocation is not None and geolocation.coordinates is not None


def _user_context(user: version_2_0.UserContext) -> today.UserContext:
    session = user.session_data
    return today.UserContext(
        user_id=user.user_id,
        anonymous_id=user.anonymous_id,
        session_data=None
        if session is None
        else today.SessionData(
            session_id=session.session_id,
            session_start=session.session_start,
            session_sequence=session.session_sequence,
            session_attributes=None
            if session.session_attributes is None
            else _session_attributes(session.session_attributes),
        ),
        user_profile=user.user_profile,
    )


def _session_attributes(attributes: version_2_0.SessionAttributes) -> today.SessionAttributes:
    return today.SessionAttributes(
        device_fingerprint=attributes.device_fingerprint,
        geolocation=None if attributes.geolocation is None else _geolocation(attributes.geolocation),
        user_agent_parsed=attributes.user_agent_parsed,
    )


def _geolocation(flat: version_2_0.Geolocation) -> today.Geolocation:
    fault = half_a_coordinate(flat.lat, flat.lon)
    if fault is not None:
        raise EventRejected([fault])
    return today.Geolocation(
        country=flat.country,
        region=flat.region,
        city=flat.city,
        coordinates=None if flat.lat is None or flat.lon is None else today.Coordinates(lat=flat.lat, lon=flat.lon),
        accuracy_meters=flat.accuracy_meters,
        ip_derived=flat.ip_derived,
    )
