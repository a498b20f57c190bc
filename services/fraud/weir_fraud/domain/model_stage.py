"""At which stage a version of the model stands, and which moves between stages there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from weir_fraud.domain.model import ModelCard

MAX_CHALLENGERS: Final = 4
"""Every instance holds each of them in memory."""


class Stage(StrEnum):
    """What is done with a version."""

    CANDIDATE = "candidate"
    """Registered, and nothing else."""
    SHADOW = "shadow"
    """Scores every payment beside the one that decides; one at most."""
    CHALLENGER = "challenger"
    """Decides for the tenants that have it in place of the champion."""
    CHAMPION = "champion"
    """Decides for everybody else; one."""
    RETIRED = "retired"
    """Was something before."""


SERVED: Final = frozenset({Stage.SHADOW, Stage.CHALLENGER, Stage.CHAMPION})
"""Loaded by every instance."""
MAY_DECIDE: Final = frozenset({Stage.CHALLENGER, Stage.CHAMPION})


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as the registry has it."""

    card: ModelCard
    stage: Stage
    folder: str | None
    """Of its files, below the root of the object storage; None: they are not there."""
    files: dict[str, str]
    """SHA-256 of each file, the card too, in hex."""
    overrides: int
    """How many tenants have it in place of the champion."""
    registered_at: datetime
    registered_by: str
    staged_at: datetime
    """When it came to its stage."""
    staged_by: str
    first_served_at: datetime | None

    @property
    def version(self) -> str:
        return self.card.version


class ModelChange(msgspec.Struct, frozen=True, kw_only=True):
    """A move of the past."""

    version: str
    stage_before: Stage
    stage_after: Stage
    previous: str | None
    """Of a move to champion: who becomes the champion when it is rolled back."""
    changed_at: datetime
    changed_by: str
    note: str
    gate: dict[str, Any] | None = None
    """Of a move that needed one: `GateRecord`, its checks as they were then, and why they were overridden if they were."""


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """The version that one tenant has in place of the champion."""

    version: str
    set_at: datetime
    set_by: str
    note: str


class Gated(Protocol):
    """What a move was held to: `GateRecord` is one."""

    @property
    def champion(self) -> str | None: ...


class Standing(NamedTuple):
    """What the moves of a version depend on."""

    stage: Stage
    has_files: bool
    overrides: int


class Move(NamedTuple):
    """From one stage to another."""

    version: str
    before: Stage
    after: Stage
    previous: str | None = None


class MoveRefused(ValueError):
    """There is no such move, as things stand; the text says why."""


def moves_of(standing: Mapping[str, Standing], version: str, to: Stage) -> list[Move]:
    """What moves when `version` comes to a stage: whoever gives way, then itself. `MoveRefused`.

    `standing`: the version and all that are at a stage of which there is a limited number.
    """
    here = standing[version]
    if here.stage is to:
        raise MoveRefused(f"{version} is {to.value} already.")
    if here.stage is Stage.CHAMPION:
        raise MoveRefused(f"{version} is the champion: promote another one in its place, or roll back.")
    if to in SERVED and not here.has_files:
        raise MoveRefused(f"The files of {version} are not in the object storage.")
    if here.overrides and to not in MAY_DECIDE:
        raise MoveRefused(f"{version} decides for {here.overrides} tenants in place of the champion.")
    challengers = sum(one.stage is Stage.CHALLENGER for one in standing.values()) - (here.stage is Stage.CHALLENGER)
    given_way: list[Move] = []
    previous: str | None = None
    for other, one in standing.items():
        if one.stage is to and to is Stage.SHADOW:
            given_way.append(Move(other, one.stage, Stage.CANDIDATE))
        if one.stage is to and to is Stage.CHAMPION:
            # Tenants that were given this very version keep it.
            stays = Stage.CHALLENGER if one.overrides else Stage.RETIRED
            challengers += stays is Stage.CHALLENGER
            given_way.append(Move(other, one.stage, stays))
            previous = other
    challengers += to is Stage.CHALLENGER
    if challengers > MAX_CHALLENGERS:
        raise MoveRefused(f"There would be {challengers} challengers; every instance holds at most {MAX_CHALLENGERS}.")
    return [*given_way, Move(version, here.stage, to, previous)]


def refuse_another_champion(standing: Mapping[str, Standing], asked: Gated | None) -> None:
    """`MoveRefused` if the champion was replaced since the gate was looked at: its figures are against another one."""
    champion = next((version for version, one in standing.items() if one.stage is Stage.CHAMPION), None)
    if asked is not None and asked.champion != champion:
        raise MoveRefused(f"The champion is {champion} by now; the gate was held against {asked.champion}.")


def rollback_of(standing: Mapping[str, Standing], previous: str | None, further: str | None) -> list[Move]:
    """The moves that make `previous`, the champion before, the champion again. `MoveRefused` if there was none.

    `further`: the champion before that one, to whom the next rollback goes; so that two rollbacks go back by two.
    """
    if previous is None:
        raise MoveRefused("There was no champion before this one.")
    *others, back = moves_of(standing, previous, Stage.CHAMPION)
    return [*others, back._replace(previous=further)]
