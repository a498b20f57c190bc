import pytest
from weir_compliance.domain.request_state import NEXT, RIGHTS_STATUS, IllegalTransitionError, RequestState, move


def test_every_state_has_a_public_status_and_ends_somewhere() -> None:
    assert set(RIGHTS_STATUS) == set(RequestState) == set(NEXT)
    reachable = {RequestState.RECEIVED}
    for _ in RequestState:
        reachable |= {after for state in reachable for after in NEXT[state]}
    assert reachable == set(RequestState)


@pytest.mark.parametrize("current", list(RequestState))
@pytest.mark.parametrize("wanted", list(RequestState))
def test_only_the_listed_moves_are_possible(current: RequestState, wanted: RequestState) -> None:
    if wanted == current or wanted in NEXT[current]:
        assert move(current, wanted) == wanted
    else:
        with pytest.raises(IllegalTransitionError):
            move(current, wanted)
