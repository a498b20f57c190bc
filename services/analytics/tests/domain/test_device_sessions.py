"""The worked example of the session rules, and that the order of arrival does not matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from weir_analytics.domain.facts import MICROSECONDS
from weir_analytics.domain.sessions import Activity, DeviceSession, append, resplit

MINUTE = 60 * MICROSECONDS


def activity(
    minute: float, *, client: str | None = None, user: str | None = None, sequence: int = 0, event_id: str | None = None
) -> Activity:
    at = round(minute * MINUTE)
    return Activity(at, sequence, event_id or f"e{at:016d}", client, user, purchase=False, page_view=True)


def split(*activities: Activity) -> list[DeviceSession]:
    return resplit("t", "anonymous:A1", [], activities).after


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
    changed = append("t", "anonymous:A1", last, [activity(40, client="s1")])
    assert changed is not None
    assert changed.before == [last]
    assert [s.ended[0] for s in changed.after] == [40 * MINUTE]
    assert changed.after[0].session_id == last.session_id
    assert append("t", "anonymous:A1", last, [activity(10)]) is None
    fresh = append("t", "anonymous:A1", last, [activity(100)])
    assert fresh is not None
    assert fresh.before == []
    assert len(fresh.after) == 1


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
    assert len({session.session_id for session in sessions}) == len(sessions)
