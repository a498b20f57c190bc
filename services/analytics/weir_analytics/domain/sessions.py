"""Device sessions, exactly: the same sessions whatever the order in which a device's events arrive.

A device's activity is ordered by (event time, the client's sequence, event id). A new session starts at an event after the previous one when

1. more than 30 minutes lie between them;
2. more than 24 hours lie between the session's start and the event;
3. both carry a client session id and these differ (the client may cut finer, never coarser);
4. the event carries a user other than the last user seen in the session. Signing in does not cut, nor does signing out.

Events nearly always arrive in order. Then only the device's last session is needed (`append`). A late event needs the
device's activity from some event on that begins a session whatever came before it, that is, one after a gap of rule 1
(`certain_start`); from there everything is cut again (`resplit`). Both report the sessions before and after, so that
rollups take back the former and add the latter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
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


class DeviceSession(msgspec.Struct, frozen=True, array_like=True):
    """A run of one device's activity without a cut; within a device it is known by its first event."""

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
    last: DeviceSession
    """The device's latest session now."""

    def changes(self) -> Iterator[tuple[DeviceSessionStarted, int]]:
        """What this means for those who count sessions: one that only grew is no news to them."""
        before, after = [session.fact for session in self.before], [session.fact for session in self.after]
        if before != after:
            yield from ((fact, -1) for fact in before)
            yield from ((fact, 1) for fact in after)


def session_id(tenant_id: str, device: str, session: DeviceSession) -> uuid.UUID:
    """The same whenever it is asked, and another when another event turns out to be the first."""
    return uuid.uuid5(NAMESPACE, f"{tenant_id}\0{device}\0{session.started[2]}")


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


def append(last: DeviceSession | None, activities: Sequence[Activity]) -> Sessions | None:
    """The device's sessions after `activities`, which are in order; None if the first of them is not later than `last`."""
    if last is None:
        return _changed((), split(activities))
    if activities[0].position <= last.ended:
        return None
    return _changed((last,), _continue([last], activities))


def resplit(known: Sequence[Activity], late: Iterable[Activity]) -> Sessions:
    """Cut again: `known` is the device's activity from a certain start on. What is in both is one event."""
    unique = {activity.position: activity for activity in known}
    every = unique | {activity.position: activity for activity in late}
    return _changed(split(sorted(unique.values(), key=position)), split(sorted(every.values(), key=position)))


def certain_start(activities: Sequence[Activity], at: Microseconds, *, complete: bool) -> int | None:
    """Index of the last activity before `at` that begins a session whatever was before it; None if there is none.

    `activities` are in order. If they are `complete`, that is, begin with the device's first, that one begins a session.
    """
    for index in range(len(activities) - 1, 0, -1):
        here = activities[index].at
        if here < at and here - activities[index - 1].at > LONGEST_GAP:
            return index
    return 0 if complete else None


def split(activities: Iterable[Activity]) -> list[DeviceSession]:
    """The sessions of activities that are in order, of which the first begins one."""
    return _continue([], activities)


def position(activity: Activity) -> Position:
    """To sort by."""
    return activity.position


def _continue(sessions: list[DeviceSession], activities: Iterable[Activity]) -> list[DeviceSession]:
    for activity in activities:
        if not sessions or _cuts(sessions[-1], activity):
            sessions.append(_begin(activity))
        elif activity.position != sessions[-1].ended:  # else it is the same event again
            sessions[-1] = _extend(sessions[-1], activity)
    return sessions


def _changed(before: Sequence[DeviceSession], after: Sequence[DeviceSession]) -> Sessions:
    """The difference, without the sessions that are the same in both."""
    old = {session.started: session for session in before}
    new = {session.started: session for session in after}
    return Sessions(
        before=[session for key, session in old.items() if new.get(key) != session],
        after=[session for key, session in new.items() if old.get(key) != session],
        last=after[-1],
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


def _begin(activity: Activity) -> DeviceSession:
    return DeviceSession(
        started=activity.position,
        ended=activity.position,
        last_client_session=activity.client_session,
        user=activity.user,
        events=1,
        page_views=int(activity.page_view),
        purchases=int(activity.purchase),
    )


def _extend(session: DeviceSession, activity: Activity) -> DeviceSession:
    return DeviceSession(
        session.started,
        activity.position,
        activity.client_session,
        activity.user or session.user,
        session.events + 1,
        session.page_views + activity.page_view,
        session.purchases + activity.purchase,
    )


def _bounded(sequence: int | None) -> int:
    """Within a 64-bit integer, which is what the store holds; absent counts as 0."""
    return max(-(2**63), min(2**63 - 1, sequence)) if sequence is not None else 0
