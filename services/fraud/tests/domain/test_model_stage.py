from __future__ import annotations

import pytest
from weir_fraud.domain.model_stage import MAX_CHALLENGERS, Move, MoveRefused, Stage, Standing, moves_of, rollback_of

CANDIDATE = Standing(Stage.CANDIDATE, True, 0)
CHAMPION = Standing(Stage.CHAMPION, True, 0)


def test_a_new_champion_retires_the_one_before_and_remembers_it() -> None:
    assert moves_of({"a": CHAMPION, "b": CANDIDATE}, "b", Stage.CHAMPION) == [
        Move("a", Stage.CHAMPION, Stage.RETIRED),
        Move("b", Stage.CANDIDATE, Stage.CHAMPION, previous="a"),
    ]


def test_a_champion_that_tenants_were_given_stays_for_them() -> None:
    pinned = Standing(Stage.CHAMPION, True, 2)
    assert moves_of({"a": pinned, "b": CANDIDATE}, "b", Stage.CHAMPION)[0].after is Stage.CHALLENGER
    assert (
        moves_of({"a": CHAMPION, "b": pinned._replace(stage=Stage.CHALLENGER)}, "b", Stage.CHAMPION)[1].previous == "a"
    )


def test_there_is_one_shadow() -> None:
    shadow = Standing(Stage.SHADOW, True, 0)
    assert moves_of({"a": CHAMPION, "s": shadow, "b": CANDIDATE}, "b", Stage.SHADOW) == [
        Move("s", Stage.SHADOW, Stage.CANDIDATE),
        Move("b", Stage.CANDIDATE, Stage.SHADOW),
    ]


@pytest.mark.parametrize("to", [Stage.CANDIDATE, Stage.SHADOW, Stage.CHALLENGER, Stage.RETIRED])
def test_there_is_always_a_champion(to: Stage) -> None:
    with pytest.raises(MoveRefused, match="promote another one"):
        moves_of({"a": CHAMPION}, "a", to)


@pytest.mark.parametrize("to", [Stage.CANDIDATE, Stage.SHADOW, Stage.RETIRED])
def test_what_decides_for_a_tenant_is_not_taken_away(to: Stage) -> None:
    with pytest.raises(MoveRefused, match="3 tenants"):
        moves_of({"a": CHAMPION, "b": Standing(Stage.CHALLENGER, True, 3)}, "b", to)


def test_nothing_is_served_without_its_files() -> None:
    for to in (Stage.SHADOW, Stage.CHALLENGER, Stage.CHAMPION):
        with pytest.raises(MoveRefused, match="not in the object storage"):
            moves_of({"b": Standing(Stage.CANDIDATE, False, 0)}, "b", to)
    assert moves_of({"b": Standing(Stage.CANDIDATE, False, 0)}, "b", Stage.RETIRED)


def test_challengers_are_bounded_however_they_come() -> None:
    standing = {f"c{number}": Standing(Stage.CHALLENGER, True, 1) for number in range(MAX_CHALLENGERS)}
    standing |= {"a": CHAMPION._replace(overrides=1), "b": CANDIDATE}
    for to in (Stage.CHALLENGER, Stage.CHAMPION):
        with pytest.raises(MoveRefused, match="challengers"):
            moves_of(standing, "b", to)
    # One of them in its place leaves as many.
    assert moves_of(standing, "c0", Stage.CHAMPION)


def test_a_move_to_where_it_is_is_none() -> None:
    with pytest.raises(MoveRefused, match="already"):
        moves_of({"a": CHAMPION}, "a", Stage.CHAMPION)


def test_a_rollback_goes_back_and_the_next_one_further() -> None:
    standing = {"c": CHAMPION, "b": Standing(Stage.RETIRED, True, 0)}
    assert rollback_of(standing, "b", "a") == [
        Move("c", Stage.CHAMPION, Stage.RETIRED),
        Move("b", Stage.RETIRED, Stage.CHAMPION, previous="a"),
    ]
    assert rollback_of(standing, "b", None)[-1].previous is None
    with pytest.raises(MoveRefused, match="no champion before"):
        rollback_of(standing, None, None)
