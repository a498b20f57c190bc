"""Whom an event is about."""

from __future__ import annotations

from weir_common.events.event import Event
from weir_common.ids import SubjectId


def subject_of(event: Event) -> SubjectId:
    """Who the event is about, so that one person's events keep their order: user, else visitor, else device, else itself."""
    user = event.event_data.user_context
    if user is not None:
        if user.user_id:
            return SubjectId(user.user_id)
        if user.anonymous_id:
            return SubjectId(user.anonymous_id)
        session = user.session_data
        if session is not None and session.session_attributes is not None:
            device = session.session_attributes.device_fingerprint
            if device:
                return SubjectId(device)
    return SubjectId(str(event.event_metadata.event_id))
