"""Fill in the explanations that were put off while too many waited, from the stored snapshots by the same models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from opentelemetry.metrics import CallbackOptions, Observation
from weir_common.errors import RetryError
from weir_common.telemetry import meter

from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import explain
from weir_fraud.domain.replay import vector_of
from weir_fraud.ports import DecisionStore, Deferred, DeferredExplanations, ModelVersions
from weir_fraud.put_off import PutOff

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
DEADLINE_SECONDS: Final = 10.0
BATCH: Final = 20
"""Some 20 ms of work, in which whoever comes may have to wait for a processor."""


class ExplainLater:
    """One at a time, in a thread, while nobody waits for a decision."""

    def __init__(
        self,
        deferred: DeferredExplanations,
        decisions: DecisionStore,
        models: ModelVersions,
        catalogue: Catalogue,
        has_room: Callable[[], bool],
    ) -> None:
        self._deferred = deferred
        self._decisions = decisions
        self._models = models
        self._catalogue = catalogue
        self._has_room = has_room
        self._waiting = 0
        meter().create_observable_gauge(
            "weir.fraud.unexplained",
            callbacks=[self._observe],
            unit="{decision}",
            description="Decisions that wait for their explanation, of all tenants, when it was last looked",
        )
        self._explained = meter().create_counter(
            "weir.fraud.explanations.deferred",
            unit="{decision}",
            description="Explanations that were filled in later (filled), or could not be and are tried again (failed)",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Look twice a second, if there is room."""
        later = PutOff(
            self.apply,
            lambda reason: log.warning("explanations wait", waiting=self._waiting, reason=reason),
            look_seconds=LOOK_SECONDS,
            deadline_seconds=DEADLINE_SECONDS,
            has_room=self._has_room,
        )
        await later.run(stop)

    async def apply(self) -> bool:
        """One batch, the oldest first; whether to go on at once."""
        self._waiting = await self._deferred.deferred()
        batch = await self._deferred.oldest(BATCH) if self._waiting else []
        failed: list[Exception] = []
        for one in batch:
            if not self._has_room():
                return False
            failed += [fault for fault in [await self._explain(one)] if fault is not None]
            self._waiting -= 1
        if failed:
            log.error("decisions cannot be explained", decisions=len(failed), reason=repr(failed[0]))
        # Whoever cannot be explained now stands at the end: not again and again without a pause.
        return len(batch) == BATCH and not failed

    async def _explain(self, deferred: Deferred) -> Exception | None:
        """Why it could not be done."""
        decision = await self._decisions.find(deferred.tenant_id, deferred.event_id)
        if decision is None or decision.is_explained:
            await self._deferred.fill_in(deferred, None)
            return None
        try:
            model = await self._models.get(decision.model_version)
            (scored,) = await asyncio.to_thread(model.score, [vector_of(decision)])
            whole = explain(decision, scored, self._catalogue)
        except RetryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model fails with, the others are explained
            self._explained.add(1, {"weir.fraud.explanation": "failed"})
            await self._deferred.put_off(deferred)
            return error
        await self._deferred.fill_in(deferred, whole)
        self._explained.add(1, {"weir.fraud.explanation": "filled"})
        return None

    def _observe(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(max(0, self._waiting))]
