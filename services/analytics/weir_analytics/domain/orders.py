"""Which purchase event is the order. The earliest of an order's events decides; it may arrive after others.

Order of arrival does not matter: offering the same events in any order ends with the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weir_analytics.domain import left_out
from weir_analytics.domain.facts import Fact, LeftOut, Purchase

Change = tuple[Fact, int]
"""A fact and +1 if it holds from now on, −1 if it no longer does."""


class OrderBook:
    """The first purchases of the orders that a batch touches: those known before, then as the batch changes them."""

    def __init__(self, known: Mapping[str, Purchase]) -> None:
        self._firsts = dict(known)
        self.changed: dict[str, Purchase] = {}
        """Orders that are new or begin with another event now; to be stored."""

    def offer(self, purchase: Purchase) -> Iterator[Change]:
        """Take in one purchase event and say what that changes."""
        first = self._firsts.get(purchase.order)
        if first is None:
            yield from _facts(purchase, 1)
        elif first.event_id == purchase.event_id:
            return
        elif (purchase.at, purchase.event_id) < (first.at, first.event_id):
            yield from _facts(first, -1)
            yield LeftOut(first.at, left_out.DUPLICATE_ORDER), 1
            yield from _facts(purchase, 1)
        else:
            yield LeftOut(purchase.at, left_out.DUPLICATE_ORDER), 1
            return
        self._firsts[purchase.order] = purchase
        self.changed[purchase.order] = purchase


def _facts(purchase: Purchase, sign: int) -> Iterator[Change]:
    yield purchase, sign
    if purchase.currency is None:
        yield LeftOut(purchase.at, left_out.NO_CURRENCY), sign
    if purchase.final_total is None:
        yield LeftOut(purchase.at, left_out.NO_TOTAL), sign
    for line in purchase.lines:
        if line.amount is None:
            yield LeftOut(purchase.at, left_out.NO_QUANTITY), sign
