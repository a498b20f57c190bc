"""The histories for payments that somebody waits for: in time, or not at all.

When they have failed several times one after the other nobody asks them any more, so that not each payment waits for the whole deadline. After a
pause one payment asks for all; its answer ends the pause, its failure begins another. Pauses differ by chance, so that the instances do
not come back together.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence

import structlog
from weir_common.telemetry import meter

from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.payment import Payment
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.ports import FeatureStore

log = structlog.get_logger(__name__)


class AskInTime:
    """See `FeaturesInTime`. What was cut off may have been done: it is a no-op when it is done again."""

    def __init__(
        self,
        features: FeatureStore,
        *,
        seconds: float,
        seconds_a_payment: float = 0.0,
        most_seconds: float = math.inf,
        failures: int,
        pause_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``seconds`` for one payment, ``seconds_a_payment`` more for each further one of a batch, ``most_seconds`` for any."""
        self._features = features
        self._seconds = seconds
        self._seconds_a_payment = seconds_a_payment
        self._most_seconds = most_seconds
        self._most_failures = failures
        self._pause_seconds = pause_seconds
        self._monotonic = monotonic
        self._chance = chance
        self._failures = 0
        self._ask_again_at: float | None = None
        self._asking_for_all = False
        self._cut_off = meter().create_counter(
            "weir.fraud.features.cutoffs",
            unit="{call}",
            description="Times that the histories were not asked (paused), did not answer in time (late) or failed (failed)",
        )

    @property
    def paused(self) -> bool:
        """Whether the histories are not asked."""
        return self._ask_again_at is not None

    def seconds_for(self, payments: int) -> float:
        """How long so many may take together. A call whose own deadline is sooner ends with that."""
        return min(self._most_seconds, self._seconds + self._seconds_a_payment * max(0, payments - 1))

    async def __call__(self, payments: Sequence[Payment]) -> list[Snapshot] | None:
        if self._ask_again_at is None:
            return await self._ask(payments)
        if self._asking_for_all or self._monotonic() < self._ask_again_at:
            self._count("paused")
            return None
        self._asking_for_all = True
        try:
            return await self._ask(payments)
        finally:
            self._asking_for_all = False

    async def _ask(self, payments: Sequence[Payment]) -> list[Snapshot] | None:
        seconds = self.seconds_for(len(payments))
        try:
            async with asyncio.timeout(seconds):
                answers = await self._features.observe(payments)
        except TimeoutError:
            self._failed("late", f"no answer to {len(payments)} in {seconds:.3g} s")
        except FeatureStoreUnavailable as error:
            self._failed("failed", str(error))
        else:
            if self._ask_again_at is not None:
                log.info("the histories answer again")
            self._failures = 0
            self._ask_again_at = None
            return answers
        return None

    def _failed(self, how: str, why: str) -> None:
        self._count(how)
        self._failures += 1
        if self._failures < self._most_failures:
            return
        if self._ask_again_at is None:
            log.error("the histories do not answer: payments are decided without them", reason=why)
        self._ask_again_at = self._monotonic() + self._pause_seconds * (0.5 + self._chance())

    def _count(self, how: str) -> None:
        self._cut_off.add(1, {"weir.fraud.features.cutoff": how})
