"""Histories in memory: what training and unit tests use; passes the same contract tests as Valkey."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from weir_fraud.adapters.valkey_histories import entry_of
from weir_fraud.domain.history import ENTITIES, Histories, History
from weir_fraud.domain.payment import Payment


class MemoryHistories:
    """See ``HistoryStore``."""

    def __init__(self) -> None:
        self._histories: dict[tuple[str, str, str], History] = defaultdict(History)
        self._seen: dict[tuple[str, str], Histories] = {}

    async def observe(self, payments: Sequence[Payment]) -> list[Histories]:
        """See ``HistoryStore.observe``."""
        return [self.observe_one(payment) for payment in payments]

    def observe_one(self, payment: Payment) -> Histories:
        """The same for one payment, without waiting."""
        key = (payment.tenant_id, payment.event_id)
        if key not in self._seen:
            entry = entry_of(payment)
            self._seen[key] = Histories(
                **{
                    entity: self._histories[(payment.tenant_id, entity, getattr(payment, entity))].observe(entry)
                    for entity in ENTITIES
                    if getattr(payment, entity) is not None
                }
            )
        return self._seen[key]
