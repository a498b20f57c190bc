"""``fin.card_testing``: many cards tried, few good (catalogue rule 21; OWASP OAT-001 carding, OAT-010 card cracking).

A client (device, session or network prefix) is caught by the number of *different* payment tokens that it tries, together with
the share that is declined. One customer has a handful of cards; a tester has a list of them.

Left for later: the shop-wide part (CUSUM on the decline share, attempts beyond the negative binomial), which catches a
tester who changes device, session and network with every few cards. It needs a tick and a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event, PaymentMethod, amount, instant
from weir_anomaly.domain.payment_outcome import Outcome, outcome_of
from weir_anomaly.domain.rule import Hit, Observation, Rule, State
from weir_anomaly.domain.severity import Severity
from weir_anomaly.domain.storable import hash64, shown_text

SHORT_SECONDS: Final = 600.0
LONG_SECONDS: Final = 3_600.0
SHORT_TOKENS: Final = 5
LONG_TOKENS: Final = 8
DECLINED_SHARE: Final = 0.6
CRITICAL_ATTEMPTS: Final = 100
OWN_TOKENS: Final = 4
"""One customer with three own cards and a retry: up to four tokens are nobody's business."""

_MAX_ATTEMPTS: Final = 64
_MAX_MINUTES: Final = 60
_AMOUNT_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 50.0, 200.0)


class Attempt(State, frozen=True):
    """One card tried. ``open``: its own outcome event may still come."""

    at: float
    token: int
    outcome: int
    amount: float | None
    open: bool


class Minute(State, frozen=True):
    """Counts of a minute of event time; ``fresh`` tokens are those not among the attempts in memory then."""

    minute: int
    attempts: int
    declined: int
    fresh: int


class CardTestingState(State, frozen=True):
    """The last 64 attempts exactly, and an hour of counts by minute: about 2 KB when full."""

    attempts: tuple[Attempt, ...] = ()
    minutes: tuple[Minute, ...] = ()


class CardTesting(Rule):
    """See the module."""

    name = "fin.card_testing"
    version = 1
    family = "financial"
    title = "Many cards tried, few good"
    decides = (
        "One device, session or network prefix tries 5 or more different payment tokens in 10 minutes, or 8 in an hour, "
        "and at least 60 % of the answered attempts are declined."
    )
    wakes = frozenset(
        {("transaction", "payment_attempted"), ("transaction", "payment_declined"), ("transaction", "purchase")}
    )
    entity_kinds = ("network", "device", "session")
    state_type = CardTestingState
    state_version = 1
    state_seconds = LONG_SECONDS
    quiet_seconds = 1_800.0
    rest_seconds = 1_800.0

    def entities(self, event: Event) -> Sequence[Entity]:
        """Broadest first, so that a tester who changes devices behind one network is one finding."""
        if event.source == "batch_import" or not any(_counts(payment) for payment in event.payments):
            return ()
        found = []
        prefix = event.network_prefix
        if prefix is not None:
            found.append(entity("network", prefix))
        if event.device is not None:
            found.append(entity("device", event.device))
        if event.session is not None:
            found.append(entity("session", event.session))
        return found

    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """Each client is judged by itself; the hits name the broadest first."""
        tried = [
            Attempt(
                event.at,
                hash64(payment.tokenized_identifier or ""),
                outcome_of(payment, event.subtype),
                _cart_total(event),
                event.subtype == "payment_attempted",
            )
            for payment in event.payments
            if _counts(payment)
        ]
        after: list[CardTestingState] = []
        hits: list[Hit] = []
        for key, state in zip(self.entities(event), states, strict=True):
            known: CardTestingState = state if state is not None else CardTestingState()
            for attempt in tried:
                known = _remember(known, attempt)
            after.append(known)
            hit = _judge(known, key, event)
            if hit is not None:
                hits.append(hit)
        return after, hits


def _counts(payment: PaymentMethod) -> bool:
    # Wallets make a new token for each attempt, so their tokens do not count cards.
    return bool(payment.tokenized_identifier) and payment.method_type != "digital_wallet"


def _cart_total(event: Event) -> float | None:
    cart = event.cart
    if cart is None or cart.cart_value is None:
        return None
    return amount(cart.cart_value.final_total)


def _remember(state: CardTestingState, new: Attempt) -> CardTestingState:
    """An outcome closes the attempt that it answers; anything else is an attempt of its own."""
    attempts = state.attempts
    for index in range(len(attempts) - 1, -1, -1):
        known = attempts[index]
        if known.token != new.token or abs(new.at - known.at) > SHORT_SECONDS:
            continue
        if new.open and not known.open and known.at >= new.at and new.outcome in (Outcome.PENDING, known.outcome):
            return state  # the answer overtook its question
        if not new.open and known.open and known.outcome in (Outcome.PENDING, new.outcome):
            answered = Attempt(known.at, known.token, new.outcome, known.amount, False)
            declined = new.outcome == Outcome.DECLINED and known.outcome != Outcome.DECLINED
            return CardTestingState(
                (*attempts[:index], answered, *attempts[index + 1 :]),
                _count(state.minutes, known.at, 0, int(declined), 0),
            )
    fresh = all(known.token != new.token for known in attempts)
    return CardTestingState(
        (*attempts, new)[-_MAX_ATTEMPTS:],
        _count(state.minutes, new.at, 1, int(new.outcome == Outcome.DECLINED), int(fresh)),
    )


def _count(minutes: tuple[Minute, ...], at: float, attempts: int, declined: int, fresh: int) -> tuple[Minute, ...]:
    minute = int(at // 60)
    for index in range(len(minutes) - 1, -1, -1):
        known = minutes[index]
        if known.minute == minute:
            grown = Minute(minute, known.attempts + attempts, known.declined + declined, known.fresh + fresh)
            return (*minutes[:index], grown, *minutes[index + 1 :])
        if known.minute < minute:
            grown = Minute(minute, attempts, declined, fresh)
            return (*minutes[: index + 1], grown, *minutes[index + 1 :])[-_MAX_MINUTES:]
    return (Minute(minute, attempts, declined, fresh), *minutes)[-_MAX_MINUTES:]


def _judge(state: CardTestingState, key: Entity, event: Event) -> Hit | None:
    if len(state.attempts) < SHORT_TOKENS:
        return None
    end = max(attempt.at for attempt in state.attempts)
    best: tuple[float, float, int, float] | None = None
    for seconds, floor in ((SHORT_SECONDS, SHORT_TOKENS), (LONG_SECONDS, LONG_TOKENS)):
        window = [
            attempt for attempt in state.attempts if end - attempt.at <= seconds and attempt.outcome != Outcome.FAULT
        ]
        tokens = len({attempt.token for attempt in window})
        if tokens < floor:
            continue
        declined = sum(attempt.outcome == Outcome.DECLINED for attempt in window)
        answered = declined + sum(attempt.outcome == Outcome.APPROVED for attempt in window)
        if answered == 0 or declined / answered < DECLINED_SHARE:
            continue
        score = tokens / floor
        if best is None or score > best[0]:
            best = (score, seconds, tokens, declined / answered)
    if best is None:
        return None
    score, seconds, tokens, share = best
    floor = SHORT_TOKENS if seconds == SHORT_SECONDS else LONG_TOKENS
    recent = sum(minute.attempts for minute in state.minutes if minute.minute > (end - SHORT_SECONDS) // 60)
    return Hit(
        entity=key,
        severity=Severity.CRITICAL if recent >= CRITICAL_ATTEMPTS else Severity.HIGH,
        window_start=end - seconds,
        window_end=end,
        observed=float(tokens),
        expected=1.0,
        spread=float(OWN_TOKENS - 1),
        unit="different payment tokens",
        score=score,
        threshold=1.0,
        layer="peers",
        cleared_by=(
            f"fewer than {floor} different tokens in {seconds / 60:.0f} min (seen {tokens}), "
            f"or less than {DECLINED_SHARE:.0%} declined (seen {share:.0%})"
        ),
        evidence=_evidence(state, event, end, share, recent),
    )


def _evidence(state: CardTestingState, event: Event, end: float, share: float, recent: int) -> dict[str, Any]:
    hour = [attempt for attempt in state.attempts if end - attempt.at <= LONG_SECONDS]
    amounts = [attempt.amount for attempt in hour if attempt.amount is not None]
    cheapest = min(amounts, default=None)
    return {
        "declined_share": round(share, 4),
        "attempts_in_10_minutes": recent,
        "per_minute": [
            {
                "minute": instant(minute.minute * 60).isoformat(),
                "attempts": minute.attempts,
                "declined": minute.declined,
                "new_tokens": minute.fresh,
            }
            for minute in state.minutes[-15:]
        ],
        "amounts": _histogram(amounts),
        "share_at_the_cheapest": (
            None if cheapest is None else round(sum(each <= cheapest * 1.05 for each in amounts) / len(amounts), 4)
        ),
        "cards_probably_validated": len({each.token for each in hour if each.outcome == Outcome.APPROVED}),
        "clients": {"device": shown_text(event.device or ""), "session": shown_text(event.session or "")},
        "providers": sorted({shown_text(each.provider, 32) for each in event.payments if each.provider}),
    }


def _histogram(amounts: Sequence[float]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in amounts:
        label = next((f"up to {bound:g}" for bound in _AMOUNT_BOUNDS if value <= bound), f"over {_AMOUNT_BOUNDS[-1]:g}")
        counts[label] = counts.get(label, 0) + 1
    return counts
