"""``beh.bot``: an automated client (catalogue rule 7; OWASP OAT-011 scraping).

Each clue has a weight in log-odds on a prior of −5; the client is called a bot at +2. No single clue reaches it: a fast
person, a screen reader, an app or a browser without scripts each show one of them.

Left for later: products an hour against the tenant's own 99.9 % (here a fixed floor), pointer paths, half-space trees as
a second opinion, the list of declared crawlers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from weir_anomaly.domain.entity import Entity, entity
from weir_anomaly.domain.event import Event, instant
from weir_anomaly.domain.rule import Hit, Observation, Rule, State
from weir_anomaly.domain.severity import Severity
from weir_anomaly.domain.storable import shown_text

PRIOR: Final = -5.0
THRESHOLD: Final = 2.0
REGULAR_CV: Final = 0.35
MIN_GAPS: Final = 20
MIN_PAGES: Final = 15
PREFETCH_SECONDS: Final = 0.3
PRODUCTS_PER_HOUR: Final = 240.0
_MAX_TIMES: Final = 33
_PAGES: Final = frozenset({"page_view", "product_view", "search"})

WEIGHTS: Final = {
    "regular": 3.0,
    "no_interaction": 2.0,
    "no_load_metrics": 2.0,
    "catalogue_order": 2.0,
    "no_referrer": 1.0,
    "fast": 1.5,
    "hosting": 2.0,
    "flagged": 0.5,
}


class BotState(State, frozen=True):
    """About 500 bytes a client: the times of the last 33 pages, and counts of the visit."""

    times: tuple[float, ...] = ()
    first_at: float = 0.0
    pages: int = 0
    untouched: int = 0
    unmeasured: int = 0
    unreferred: int = 0
    products: int = 0
    ascending: int = 0
    last_product: int = -1
    sensitive: bool = False
    flagged: bool = False


class Bot(Rule):
    """See the module."""

    name = "beh.bot"
    version = 1
    family = "behavioural"
    title = "Automated client"
    decides = "Weighted clues (regular pace, pages without interaction or load metrics, catalogue order, …) add up to +2 log-odds."
    wakes = frozenset(
        {
            ("user_interaction", "page_view"),
            ("user_interaction", "product_view"),
            ("user_interaction", "search"),
            ("user_interaction", "add_to_cart"),
            ("user_interaction", "login_failed"),
            ("user_interaction", "login_succeeded"),
        }
    )
    entity_kinds = ("device", "session")
    state_type = BotState
    state_version = 1
    state_seconds = 7_200.0
    quiet_seconds = 1_800.0
    rest_seconds = 3_600.0

    def entities(self, event: Event) -> Sequence[Entity]:
        """The device, else the session; servers and imports are automatic by nature."""
        if event.source in ("api", "batch_import"):
            return ()
        if event.device is not None:
            return (entity("device", event.device),)
        return (entity("session", event.session),) if event.session is not None else ()

    def observe(self, states: Sequence[Any], event: Event) -> Observation:
        """Pages are counted; a cart or a login only makes it worse."""
        known: BotState = states[0] if states[0] is not None else BotState()
        grown = _grow(known, event)
        if grown is known:
            return states, ()
        hit = _judge(grown, event, self.entities(event)[0]) if event.subtype in _PAGES else None
        return (grown,), (hit,) if hit is not None else ()


def _grow(known: BotState, event: Event) -> BotState:
    if event.subtype not in _PAGES:
        if known.sensitive or known.pages == 0:
            return known
        return msgspec.structs.replace(known, sensitive=True)
    if known.times and 0 <= event.at - known.times[-1] < PREFETCH_SECONDS:
        return known  # prefetch and infinite scroll show pages that nobody asked for
    page = event.page
    native = event.source == "mobile_app"
    touched = page is not None and bool(page.user_interactions)
    measured = page is not None and page.page_load_metrics is not None
    referred = page is not None and bool(page.referrer_url)
    number = _number(event)
    step_up = number >= 0 and known.last_product >= 0 and number > known.last_product
    flags = event.flags
    return msgspec.structs.replace(
        known,
        times=tuple(sorted((*known.times, event.at)))[-_MAX_TIMES:],
        first_at=known.first_at if known.pages else event.at,
        pages=known.pages + 1,
        untouched=known.untouched + (not touched and not native),
        unmeasured=known.unmeasured + (not measured and not native),
        unreferred=known.unreferred + (not referred and not native),
        products=known.products + (event.subtype == "product_view"),
        ascending=known.ascending + step_up,
        last_product=number if number >= 0 else known.last_product,
        flagged=known.flagged or bool(flags is not None and (flags.known_bot or flags.suspicious_user_agent)),
    )


def _number(event: Event) -> int:
    """The digits of the product looked at, to see whether the catalogue is walked in order; −1 without any."""
    if event.subtype != "product_view" or not event.lines:
        return -1
    digits = "".join(character for character in (event.lines[0].product_id or "") if character in "0123456789")[-15:]
    return int(digits) if digits else -1


def clues(state: BotState, network_kind: str | None) -> dict[str, float]:
    """What speaks for a machine, with its weight."""
    found: dict[str, float] = {}
    variation = pace_variation(state.times)
    if variation is not None and variation < REGULAR_CV:
        found["regular"] = WEIGHTS["regular"]
    if state.pages >= MIN_PAGES:
        if state.untouched >= 0.9 * state.pages:
            found["no_interaction"] = WEIGHTS["no_interaction"]
        if state.unmeasured >= 0.9 * state.pages:
            found["no_load_metrics"] = WEIGHTS["no_load_metrics"]
        if state.unreferred >= 0.95 * state.pages:
            found["no_referrer"] = WEIGHTS["no_referrer"]
        if state.products >= MIN_PAGES and state.ascending >= 0.8 * (state.products - 1):
            found["catalogue_order"] = WEIGHTS["catalogue_order"]
        hours = (state.times[-1] - state.times[0]) / 3600
        if state.products >= MIN_PAGES and (len(state.times) - 1) > PRODUCTS_PER_HOUR * hours:
            found["fast"] = WEIGHTS["fast"]
    if network_kind == "hosting":
        found["hosting"] = WEIGHTS["hosting"]
    if state.flagged:
        found["flagged"] = WEIGHTS["flagged"]
    return found


def pace_variation(times: Sequence[float]) -> float | None:
    """Coefficient of variation of the last gaps; None with fewer than 20."""
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if len(gaps) < MIN_GAPS:
        return None
    mean = sum(gaps) / len(gaps)
    if mean <= 0:
        return 0.0
    return math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean


def _judge(state: BotState, event: Event, key: Entity) -> Hit | None:
    found = clues(state, event.network_kind)
    odds = PRIOR + sum(found.values())
    if odds < THRESHOLD:
        return None
    weakest = min(found, key=lambda name: found[name])
    variation = pace_variation(state.times)
    return Hit(
        entity=key,
        severity=Severity.MEDIUM if state.sensitive else Severity.LOW,
        window_start=state.first_at,
        window_end=state.times[-1],
        observed=round(odds, 2),
        expected=PRIOR,
        unit="log-odds",
        score=odds,
        threshold=THRESHOLD,
        cleared_by=f"without '{weakest}' (weight {found[weakest]:g}) the odds would be {odds - found[weakest]:+.1f}",
        evidence={
            "clues": found,
            "pages": state.pages,
            "products": state.products,
            "pace_variation": None if variation is None else round(variation, 4),
            "pages_without_interaction": state.untouched,
            "pages_without_load_metrics": state.unmeasured,
            "steps_up_in_the_catalogue": state.ascending,
            "first_page_at": instant(state.first_at).isoformat(),
            "browser": shown_text(_browser(event)),
            "touches_cart_or_login": state.sensitive,
        },
    )


def _browser(event: Event) -> str:
    agent = event.user_agent
    return (agent.browser.name or "") if agent is not None and agent.browser is not None else ""
