"""The worked example of the session rules, and that the order of arrival does not matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.facts import MICROSECONDS
from weir_analytics.domain.sessions import (
    Activity,
    DeviceSession,
    append,
    certain_start,
    position,
    resplit,
    session_id,
)
from weir_analytics.domain.sessions import split as in_order

MINUTE = 60 * MICROSECONDS


def activity(
    minute: float, *, client: str | None = None, user: str | None = None, sequence: int = 0, event_id: str | None = None
) -> Activity:
    at = round(minute * MINUTE)
    return Activity(at, sequence, event_id or f"e{at:016d}", client, user, purchase=False, page_view=True)


def split(*activities: Activity) -> list[DeviceSession]:
    return in_order(sorted(activities, key=position))


def spans(*activities: Activity) -> list[tuple[float, float, str | None, int]]:
    return [(s.started[0] / MINUTE, s.ended[0] / MINUTE, s.user, s.events) for s in split(*activities)]


A1 = (
    activity(0, client="s1"),
    activity(12, client="s1"),
    activity(20, client="s1", user="U1"),
    activity(25, client="s1", user="U1"),
    activity(100, client="s1", user="U1"),  # still signed in, and the client still sends its old id
    activity(110, client="s1", user="U2"),
    activity(118, client="s1", user="U2"),
)


def test_the_worked_example_on_time() -> None:
    assert spans(*A1) == [(0, 25, "U1", 4), (100, 100, "U1", 1), (110, 118, "U2", 2)]


def test_an_id_that_spans_a_gap_is_split_and_a_late_event_moves_the_start() -> None:
    late = activity(75, client="s1")
    assert spans(*A1, late) == [(0, 25, "U1", 4), (75, 100, "U1", 2), (110, 118, "U2", 2)]


def test_late_events_merge_two_sessions_and_another_user_cuts() -> None:
    assert spans(*A1, activity(50, client="s1"), activity(75, client="s1")) == [(0, 100, "U1", 7), (110, 118, "U2", 2)]


def test_the_limits_are_inclusive() -> None:
    assert len(split(activity(0), activity(30))) == 1
    assert len(split(activity(0), activity(30 + 1 / MINUTE))) == 2
    day = [activity(25 * n) for n in range(58)]  # 0 … 1,425 minutes
    assert len(split(*day, activity(1440))) == 1
    assert [s.started[0] / MINUTE for s in split(*day, activity(1440), activity(1441))] == [0, 1441]


def test_signing_in_and_out_does_not_cut_but_another_user_and_another_client_session_do() -> None:
    assert len(split(activity(0), activity(1, user="U1"), activity(2), activity(3, user="U1"))) == 1
    assert len(split(activity(0, user="U1"), activity(1), activity(2, user="U2"))) == 2
    assert len(split(activity(0, client="a"), activity(1, client="b"))) == 2
    assert len(split(activity(0, client="a"), activity(1), activity(2, client="b"))) == 1  # neighbours only


def test_events_of_one_instant_are_ordered_by_the_clients_sequence_and_then_by_id() -> None:
    first, second = activity(0, sequence=1, event_id="z"), activity(0, sequence=2, event_id="a")
    (session,) = split(second, first)
    assert session.started == first.position
    assert session.ended == second.position


def test_in_order_arrival_needs_the_last_session_only() -> None:
    last = split(*A1[:4])[-1]
    changed = append(last, [activity(40, client="s1")])
    assert changed is not None
    assert changed.before == [last]
    assert [s.ended[0] for s in changed.after] == [40 * MINUTE]
    assert changed.after[0].started == last.started
    assert changed.last == changed.after[0]
    assert list(changed.changes()) == []
    assert append(last, [activity(10)]) is None
    fresh = append(last, [activity(100)])
    assert fresh is not None
    assert fresh.before == []
    assert len(fresh.after) == 1
    assert [sign for _, sign in fresh.changes()] == [1]


def test_a_late_event_is_cut_from_the_last_certain_start_before_it() -> None:
    known = [activity(0), activity(25), activity(100), activity(110), activity(200)]
    assert certain_start(known, 105 * MINUTE, complete=False) == 2
    assert certain_start(known, 100 * MINUTE, complete=False) is None  # it may sort before the event at 100
    assert certain_start(known, 100 * MINUTE, complete=True) == 0
    assert certain_start([], 0, complete=True) == 0
    changed = resplit(known[2:], [activity(130)])
    assert [(s.started[0] // MINUTE, s.ended[0] // MINUTE) for s in changed.before] == [(100, 110)]
    assert [(s.started[0] // MINUTE, s.ended[0] // MINUTE) for s in changed.after] == [(100, 130)]
    assert changed.last.started[0] == 200 * MINUTE
    merged = resplit(known, [activity(50), activity(75)])
    assert [(s.started[0] // MINUTE, s.events) for s in merged.after] == [(0, 6)]
    assert sorted(sign for _, sign in merged.changes()) == [-1, -1, 1]


def test_a_session_id_belongs_to_tenant_device_and_first_event() -> None:
    (session,) = split(activity(0, event_id="e"))
    (longer,) = split(activity(0, event_id="e"), activity(1))
    assert session_id("t", "d", session) == session_id("t", "d", longer)
    assert len({session_id("t", "d", session), session_id("u", "d", session), session_id("t", "e", session)}) == 3


activities = st.lists(
    st.builds(
        activity,
        st.integers(0, 4000).map(lambda n: n / 2),
        client=st.sampled_from([None, None, "s1", "s2"]),
        user=st.sampled_from([None, None, "U1", "U2"]),
        sequence=st.integers(0, 2),
        event_id=st.integers(0, 999).map(str),
    ),
    max_size=30,
    unique_by=lambda a: a.event_id,
)


@given(activities)
def test_the_sessions_of_a_device_partition_its_activity(several: list[Activity]) -> None:
    sessions = split(*several)
    assert sum(session.events for session in sessions) == len(several)
    assert [session.started for session in sessions] == sorted(session.started for session in sessions)
    assert len({session.started for session in sessions}) == len(sessions)


@given(activities, st.data())
def test_any_order_and_split_of_arrival_ends_with_the_same_sessions(
    several: list[Activity], data: st.DataObject
) -> None:
    """As the books apply them: in order where possible, else from a certain start on."""
    arrival = data.draw(st.permutations(several))
    known: list[Activity] = []
    held: dict[object, DeviceSession] = {}
    last: DeviceSession | None = None
    while arrival:
        size = data.draw(st.integers(1, 5))
        batch, arrival = sorted(arrival[:size], key=position), arrival[size:]
        changed = append(last, batch)
        if changed is None:
            known.sort(key=position)
            start = certain_start(known, batch[0].at, complete=True)
            assert start is not None
            changed = resplit(known[start:], batch)
        for session in changed.before:
            assert held.pop(session.started) == session
        held.update({session.started: session for session in changed.after})
        last = changed.last
        known += batch
    assert sorted(held.values(), key=lambda session: session.started) == split(*several)
