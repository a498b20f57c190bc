"""What of a payment would have to be otherwise for another outcome; only when somebody asks, never while a shopper waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from weir_common.problems import Conflict, Unavailable

from weir_fraud.domain.counterfactual import Flip, candidates, flips
from weir_fraud.domain.decision import Decision
from weir_fraud.errors import ModelVersionMissing
from weir_fraud.ports import ModelVersions, WhatIfModel

WAIT_SECONDS: Final = 1.0
"""For the one before; a search takes some 10 ms."""


class FindCounterfactual:
    """The use case. One search at a time in this process, in a thread: shoppers' own scores come first."""

    def __init__(self, models: ModelVersions, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._models = models
        self._wait_seconds = wait_seconds
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, decision: Decision) -> list[Flip]:
        """One a feature that can do it alone, the smallest change first; none if no feature can.

        By the model and the thresholds of the decision; lists and rules are not looked at. `Conflict` if the model is not kept any
        more, `Unavailable` if too many ask.
        """
        try:
            model = await self._models.get(decision.model_version)
        except ModelVersionMissing as error:
            raise Conflict(str(error), slug="model-not-kept") from error
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unavailable("Others are looking, too; try again in some seconds.", slug="busy") from error
        try:
            return await asyncio.to_thread(_search, model, decision)
        finally:
            self._turn.release()


def _search(model: WhatIfModel, decision: Decision) -> list[Flip]:
    names = decision.contributions.inputs.names
    vector = list(decision.contributions.values)
    tried = candidates(names, vector, model.splits())
    rows: list[Sequence[float]] = []
    for one in tried:
        row = list(vector)
        row[one.place] = one.after
        rows.append(row)
    return flips(decision.score, decision.thresholds, tried, model.scores(rows) if rows else [])
