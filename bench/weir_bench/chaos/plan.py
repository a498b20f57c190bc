"""Which fault in which round: a shuffled deck in which each kind is present, drawn from a seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from weir_local.environment import LINKED, SERVICES

SERVERS = ("kafka", "valkey", "postgres", "gateway")
VICTIMS = (*SERVICES, *SERVERS)
HELD_SECONDS = (2.0, 25.0)
LINK_SECONDS = (5.0, 15.0)
STORM_SECONDS = 12.0


class Kind(StrEnum):
    """What is done to the mesh."""

    KILL = "kill"
    HOLD = "hold"
    BACKEND = "backend"
    LINK = "link"
    STORM = "storm"
    POISON = "poison"
    FULL_QUARANTINE = "full-quarantine"


class Toxic(StrEnum):
    """How a link misbehaves. The first two slow it, the others cut it."""

    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    RESET_PEER = "reset_peer"
    TIMEOUT = "timeout"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Fault:
    """``target``: a component, or a server whose link is meant; ``seconds``: how long it lasts (a kill: until it is started again)."""

    kind: Kind
    target: str = ""
    seconds: float = 0.0
    toxic: Toxic | None = None

    def __str__(self) -> str:
        words = [self.kind.value, self.toxic.value if self.toxic else "", self.target]
        return " ".join(filter(None, words)) + (f" {self.seconds:.1f} s" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Round:
    """``faults`` happen at once. ``seed`` decides what the clients send."""

    number: int
    seed: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.faults))


def rounds(count: int, seed: int) -> list[Round]:
    """The first ``count`` rounds of this seed; a shorter run is the beginning of a longer one."""
    chance = random.Random(f"chaos/{seed}")
    drawn = _endless(chance)
    return [Round(number, f"{seed}/{number}", next(drawn)) for number in range(1, count + 1)]


def _endless(chance: random.Random) -> Iterator[tuple[Fault, ...]]:
    while True:
        yield from _deck(chance)


def _deck(chance: random.Random) -> Sequence[tuple[Fault, ...]]:
    """Every victim killed and held still, every server's link slowed and cut, two pairs, and one each of the rest."""
    toxics = {server: (_slow(chance), _cut(chance)) for server in LINKED}
    deck: list[tuple[Fault, ...]] = [
        *((_kill(chance, victim),) for victim in VICTIMS),
        *((_hold(chance, victim),) for victim in VICTIMS),
        *((_link(chance, server, toxic),) for server, chosen in toxics.items() for toxic in chosen),
        *(_pair(chance) for _ in range(2)),
        (Fault(Kind.BACKEND, "postgres"),),
        (Fault(Kind.STORM, seconds=STORM_SECONDS),),
        (Fault(Kind.POISON),),
        (Fault(Kind.FULL_QUARANTINE),),
    ]
    chance.shuffle(deck)
    return deck


def _pair(chance: random.Random) -> tuple[Fault, ...]:
    first, second = chance.sample(VICTIMS, 2)
    return (chance.choice((_kill, _hold))(chance, first), chance.choice((_kill, _hold))(chance, second))


def _kill(chance: random.Random, victim: str) -> Fault:
    return Fault(Kind.KILL, victim, round(chance.uniform(0.0, 3.0), 1))


def _hold(chance: random.Random, victim: str) -> Fault:
    return Fault(Kind.HOLD, victim, round(chance.uniform(*HELD_SECONDS), 1))


def _link(chance: random.Random, server: str, toxic: Toxic) -> Fault:
    return Fault(Kind.LINK, server, round(chance.uniform(*LINK_SECONDS), 1), toxic)


def _slow(chance: random.Random) -> Toxic:
    return chance.choice((Toxic.LATENCY, Toxic.BANDWIDTH))


def _cut(chance: random.Random) -> Toxic:
    return chance.choice((Toxic.RESET_PEER, Toxic.TIMEOUT, Toxic.DOWN))
