"""Requests of single payments, from their bytes to their answers: what comes while others are at work is read, decided and answered together.

Only the credential is looked at as soon as a request comes. All else is done by the few pieces of work that run at once, so that a turn of
the event loop stays short however many wait: grpc.aio takes one request from its connections in a turn at most, and those that are not
taken wait where nobody counts them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar

from opentelemetry import trace
from weir_common.events import Event
from weir_common.ids import TenantId
from weir_common.privacy.protect_events import ProtectEvents
from weir_common.problems import Problem
from weir_common.telemetry import is_sampled, span_if_sampled

from weir_fraud.admission import Admission
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.payment import Payment
from weir_fraud.entrypoints.scoring_request import payments_to_score, refuse_what_is_no_payment
from weir_fraud.let_others import let_others
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import ScoringSettings
from weir_fraud.together import Together

REQUESTS_A_STEP: Final = 3
"""After so many requests of a piece of work the others of the loop have their turns: 0.3 to 0.5 ms."""

_Answer = TypeVar("_Answer")


class Request(NamedTuple):
    """One payment that somebody waits for."""

    read: Callable[[], tuple[Event, str]]
    """Its event, and where that stands in the body (a pointer); raises the problem that is to be answered."""


class _Key(NamedTuple):
    """Those of one tenant are worked on together, unless one is to be alone."""

    tenant_id: TenantId
    alone: Hashable = None


class ScoreRequests(Generic[_Answer]):
    """Of one way in, whose form of an answer `render` makes. The admission is the same for all ways in."""

    def __init__(
        self,
        score: ScoreTransaction,
        protect: ProtectEvents,
        admission: Admission,
        clock: Callable[[], datetime],
        metrics: DecisionMetrics,
        limits: ScoringSettings,
        source: Source,
        render: Callable[[Decision], _Answer],
    ) -> None:
        self._score = score
        self._protect = protect
        self._admission = admission
        self._clock = clock
        self._metrics = metrics
        self._source = source
        self._render = render
        self._limits = limits
        self._together: Together[_Key, Request, _Answer] = Together(
            self._answers, at_once=limits.max_pieces, most=limits.max_together
        )

    def admitted(self, seconds: float | None = None, payments: int = 1) -> AbstractContextManager[None]:
        """Around all that is done for a request, from before it is read until it is answered.

        `Unavailable` at once for one that could not be answered in time.
        """
        return self._admission(seconds, payments)

    async def __call__(self, tenant_id: TenantId, request: Request, seconds: float | None = None) -> _Answer:
        """The answer to a request that was admitted; at most `seconds` and never longer than the limit.

        The problem that its event has; else as `ScoreTransaction`. `VaultUnavailable` (retry) if it cannot be protected now.
        """
        # One whose trace is recorded goes alone: the spans are then of its own work, and its record carries its own trace.
        alone = object() if is_sampled() else None
        limit = self._limits.deadline_seconds if seconds is None else min(seconds, self._limits.deadline_seconds)
        started = time.perf_counter()
        with span_if_sampled("fraud.score", {"weir.tenant.id": tenant_id}):
            async with asyncio.timeout(limit):
                answer = await self._together(_Key(tenant_id, alone), request)
        self._metrics.took(time.perf_counter() - started, self._source)
        return answer

    @property
    def is_at_ease(self) -> bool:
        """Whether nobody waits for a turn."""
        return self._together.waiting == 0

    async def _answers(self, key: _Key, requests: Sequence[Request]) -> list[_Answer | Exception]:
        now = self._clock()
        read: list[Event | Exception] = []
        for request in requests:
            if len(read) % REQUESTS_A_STEP == REQUESTS_A_STEP - 1:
                await let_others()
            read.append(_event(request, now))
        events = [one for one in read if not isinstance(one, Exception)]
        payments: list[Payment] = await payments_to_score(key.tenant_id, events, now, self._protect)
        # The cheapest to do without, since explanations can be made later from what is stored.
        behind = self._admission.inside - len(payments)
        decisions = await self._score.together(
            key.tenant_id, payments, self._source, explain=behind <= self._limits.max_waiting_explained
        )
        if len(requests) > 1:
            self._metrics.together(len(requests))
        elif decisions:
            # Its own: one whose trace is recorded goes alone.
            trace.get_current_span().set_attribute("weir.fraud.outcome", decisions[0].outcome.value)
        made = iter(decisions)
        answers: list[_Answer | Exception] = []
        for one in read:
            if len(answers) % REQUESTS_A_STEP == REQUESTS_A_STEP - 1:
                await let_others()
            answers.append(one if isinstance(one, Exception) else self._render(next(made)))
        return answers


def _event(request: Request, now: datetime) -> Event | Exception:
    try:
        event, prefix = request.read()
        refuse_what_is_no_payment(event, prefix, now)
    except Problem as refused:
        return refused
    return event
