"""Whether the hunter sees: values that may stand in the open were sent through the front door, and must be found everywhere.

A hunter that reads nothing finds nothing, which looks like a clean mesh. Pure: what to demand, not how it is sent.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.search import StoreReport


class BlindError(Exception):
    """A store should have a planted open value, and the hunter did not see it there: its silence proves nothing."""


@dataclass(frozen=True, slots=True)
class Canary:
    """Open values of one throw-away tenant: itself, a product of its, the person's request that it passed on."""

    tenant_id: str
    product_id: str

    def planted(self, request_id: str) -> list[Planted]:
        return [
            Planted("canary-tenant", self.tenant_id, "open: tenant_id"),
            Planted("canary-product", self.product_id, "open: product_id"),
            Planted("canary-request", request_id, "open: id of a subject request"),
        ]

    def event(self, event_id: str, now: datetime) -> dict[str, Any]:
        """A purchase of the product."""
        return {
            "schema_version": "2.2",
            "tenant_id": self.tenant_id,
            "event_metadata": {"event_id": event_id, "timestamp": now.isoformat(), "source_system": "web_app"},
            "event_data": {
                "event_type": "transaction",
                "event_subtype": "purchase",
                "user_context": {"user_id": f"canary-{event_id}", "anonymous_id": f"canary-{event_id}"},
                "business_context": {
                    "transaction_context": {
                        "products": [{"product_id": self.product_id, "pricing": {"sale_price": 5, "currency": "EUR"}}],
                        "cart_context": {"cart_value": {"subtotal": 5, "final_total": 5, "currency": "EUR"}},
                    }
                },
            },
        }


EVIDENCE: Final[tuple[tuple[str, str, str], ...]] = (
    ("kafka", "weir.ingest.events.v2 value", "canary-product"),
    ("kafka files", " decoded", "canary-product"),
    ("lake", "parquet column payload", "canary-product"),
    ("lake", "avro", "canary-tenant"),
    ("postgres", "weir: ", "canary-tenant"),
    ("postgres files", "wal", "canary-tenant"),
    ("postgres files", "analytics.", "canary-tenant"),
    ("valkey", "0: ", "canary-tenant"),
    ("valkey files", "appendonly", "canary-tenant"),
    ("temporal history", " visibility", "canary-tenant"),
    ("temporal history", " payload opened", "canary-tenant"),
    ("temporal store", ".", "canary-tenant"),
    ("traces", "span.", "canary-tenant"),
    ("logs", "gateway.log", "canary-tenant"),
    ("exports", "exports names", "canary-request"),
)
"""Store, part of the place's name, canary. "other files" is not here: no service writes there, so nothing can be planted."""


def expect_sighted(reports: Sequence[StoreReport], asked_for: Set[str]) -> Mapping[str, str]:
    """Where each canary of the stores that were asked for was seen. Raises `BlindError` with everything that was not."""
    by_name = {report.store: report for report in reports}
    missing: list[str] = []
    seen: dict[str, str] = {}
    for store, part, label in EVIDENCE:
        if store not in asked_for:
            continue
        report = by_name.get(store)
        if report is None or report.fault is not None:
            missing.append(f"{store} could not be read" + (f" ({report.fault})" if report is not None else ""))
            continue
        where = next(
            (where for where, found in sorted(report.sightings.items()) if part in where and label in found), None
        )
        if where is None:
            missing.append(f"{store} has no {label} in '{part}'")
        else:
            seen[f"{store} ({part.strip(' :.')})" if part.strip(" :.") else store] = where
    if missing:
        raise BlindError("; ".join(dict.fromkeys(missing)))
    return seen
