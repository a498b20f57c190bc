"""The deck: everything is in it, and a seed is a plan."""

from __future__ import annotations

from weir_bench.chaos.plan import HELD_SECONDS, VICTIMS, Kind, rounds
from weir_local.environment import LINKED

DECK = 32


def test_one_deck_kills_and_holds_each_victim_and_holds_every_other_kind() -> None:
    faults = [one.faults for one in rounds(DECK, 1)]
    alone = [fault for (fault, *others) in faults if not others for fault in [fault]]
    for kind in (Kind.KILL, Kind.HOLD):
        assert sorted(fault.target for fault in alone if fault.kind is kind) == sorted(VICTIMS)
    assert sorted(fault.target for fault in alone if fault.kind is Kind.LINK) == sorted([*LINKED, *LINKED])
    assert {fault.kind for fault in alone} == set(Kind)
    assert sum(len(together) == 2 for together in faults) == 2


def test_two_at_once_hit_two_victims_and_nobody_is_held_longer_than_said() -> None:
    for one in rounds(DECK * 50, 2):
        assert len({fault.target for fault in one.faults}) == len(one.faults)
        for fault in one.faults:
            if fault.kind is Kind.HOLD:
                assert HELD_SECONDS[0] <= fault.seconds <= HELD_SECONDS[1]


def test_a_seed_is_a_plan_and_a_short_run_the_beginning_of_a_long_one() -> None:
    assert rounds(5, 7) == rounds(DECK * 2, 7)[:5]
    assert rounds(DECK, 7) != rounds(DECK, 8)
    assert [one.number for one in rounds(3, 7)] == [1, 2, 3]
