"""Device sessions, exactly: the same sessions whatever the order in which a device's events arrive.

A device's activity is ordered by (event time, the client's sequence, event id). A new session starts at an event after the previous one when

1. more than 30 minutes lie between them;
2. more than 24 hours lie between the session's start and the event;
3. both carry a client session id and these differ (the client may cut finer, never coarser);
4. the event carries a user other than the last user seen in the session. Signing in does not cut, nor does signing out.

Events nearly always arrive in order. Then only the device's last session is needed (`append`); a late event needs the device's
activity since the session before it, which is cut again from there (`resplit`). Both report the sessions before and after, so that rollups
take back the former and add the latter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from weir_analytics.domain.event import CommerceEvent
from weir_analytics.domain.facts import MICROSECONDS, DeviceSessionStarted, Microseconds
from weir_analytics.domain.storable import storable

LONGEST_GAP: Final = 30 * 60 * MICROSECONDS
LONGEST_SESSION: Final = 24 * 3600 * MICROSECONDS

NAMESPACE: Final = uuid.UUID("8d5c8a2e-6f0d-5d7b-9a3e-0c1f4d2b7e61")
"""Of session ids, which are UUIDv5 of tenant, device key and first event."""

Position = tuple[Microseconds, int, str]
"""A place in the order of a device's activity."""


class Activity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a device, as much of it as sessions need."""

    at: Microseconds
    sequence: int
    event_id: str
    client_session: str | None
    user: str | None
    purchase: bool
    page_view: bool

    @property
    def position(self) -> Position:
        return (self.at, self.sequence, self.event_id)


class DeviceSession(msgspec.Struct, frozen=True):
    """A run of one device's activity without a cut."""

    session_id: uuid.UUID
    device: str
    started: Position
    ended: Position
    last_client_session: str | None
    """Of the last event, None if that carries none."""
    user: str | None
    """The last user seen."""
    events: int
    page_views: int
    purchases: int

    @property
    def fact(self) -> DeviceSessionStarted:
        return DeviceSessionStarted(self.started[0], converted=self.purchases > 0)


class Sessions(msgspec.Struct, frozen=True):
    """What one batch does to one device."""

    before: list[DeviceSession]
    """Sessions that no longer hold as they were."""
    after: list[DeviceSession]
    """Sessions that hold now in their place."""


def device_key(event: CommerceEvent) -> str | None:
    """The device of an event that opens or extends sessions; None of any other event."""
    user = event.event_data.user_context
    if user is None or not event.is_client_activity:
        return None
    if user.anonymous_id:
        return storable(f"anonymous:{user.anonymous_id}")
    fingerprint = event.device_fingerprint
    if fingerprint:
        return storable(f"device:{fingerprint}")
    return storable(f"user:{user.user_id}") if user.user_id else None


def activity_of(event: CommerceEvent, at: Microseconds) -> Activity:
    """`event` must have a device key."""
    user = event.event_data.user_context
    assert user is not None
    session = user.session_data
    return Activity(
        at=at,
        sequence=_bounded(session.session_sequence if session else None),
        event_id=storable(event.event_metadata.event_id),
        client_session=storable(session.session_id) if session and session.session_id else None,
        user=storable(user.user_id) if user.user_id else None,
        purchase=event.is_purchase,
        page_view=event.event_data.event_subtype == "page_view",
    )


def append(tenant_id: str, device: str, last: DeviceSession | None, activities: Sequence[Activity]) -> Sessions | None:
    """The device's sessions after `activities`, which are in order; None if the first of them is not later than `last`."""
    before = [] if last is None else [last]
    if last is not None and activities[0].position <= last.ended:
        return None
    return _changed(before, _split(tenant_id, device, before, activities))


def resplit(tenant_id: str, device: str, before: Sequence[DeviceSession], activities: Iterable[Activity]) -> Sessions:
    """Cut again: `activities` are all of the sessions `before` and what came late, in any order; the first starts a session."""
    unique = {activity.position: activity for activity in activities}
    return _changed(before, _split(tenant_id, device, [], [unique[position] for position in sorted(unique)]))


def _split(
    tenant_id: str, device: str, begun: Sequence[DeviceSession], activities: Iterable[Activity]
) -> list[DeviceSession]:
    sessions = list(begun)
    for activity in activities:
        if sessions and activity.position == sessions[-1].ended:
            continue  # the same event again
        if not sessions or _cuts(sessions[-1], activity):
            sessions.append(_begin(tenant_id, device, activity))
        else:
            sessions[-1] = _extend(sessions[-1], activity)
    return sessions


def _changed(before: Iterable[DeviceSession], after: Iterable[DeviceSession]) -> Sessions:
    """The difference, without the sessions that are the same in both."""
    old = {session.session_id: session for session in before}
    new = {session.session_id: session for session in after}
    return Sessions(
        before=[session for key, session in old.items() if new.get(key) != session],
        after=[session for key, session in new.items() if old.get(key) != session],
    )


def _cuts(session: DeviceSession, activity: Activity) -> bool:
    return (
        activity.at - session.ended[0] > LONGEST_GAP
        or activity.at - session.started[0] > LONGEST_SESSION
        or (
            activity.client_session is not None
            and session.last_client_session is not None
            and activity.client_session != session.last_client_session
        )
        or (activity.user is not None and session.user is not None and activity.user != session.user)
    )


def _begin(tenant_id: str, device: str, activity: Activity) -> DeviceSession:
    return DeviceSession(
        session_id=uuid.uuid5(NAMESPACE, f"{tenant_id}\0{device}\0{activity.event_id}"),
        device=device,
        started=activity.position,
        ended=activity.position,
        last_client_session=activity.client_session,
        user=activity.user,
        events=1,
        page_views=int(activity.page_view),
        purchases=int(activity.purchase),
    )


def _extend(session: DeviceSession, activity: Activity) -> DeviceSession:
    return msgspec.structs.replace(
        session,
        ended=activity.position,
        last_client_session=activity.client_session,
        user=activity.user or session.user,
        events=session.events + 1,
        page_views=session.page_views + activity.page_view,
        purchases=session.purchases + activity.purchase,
    )


def _bounded(sequence: int | None) -> int:
    """Within a 64-bit integer, which is what the store holds; absent counts as 0."""
    return max(-(2**63), min(2**63 - 1, sequence)) if sequence is not None else 0
