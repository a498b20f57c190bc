"""The gauge says what the books say, and 0 again when they balance; and the alert watches that gauge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from weir_common.ids import TenantId
from weir_tenant_admin.domain.ledger import Done
from weir_tenant_admin.ports import LedgerSides
from weir_tenant_admin.read_ledger import CONSUMERS, ReadLedger
from weir_tenant_admin.watch_ledger import LedgerWatch

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
SHOP, QUIET = TenantId("shop"), TenantId("quiet")
ALERTS = Path(__file__).parents[3] / "docs/operations/alerts.yaml"


class Books:
    """One settled minute, in which fraud has done ``done`` of ten events."""

    def __init__(self) -> None:
        self.done = 10
        self.asked: list[TenantId] = []

    async def sides(self, tenant_id: TenantId, since: datetime) -> Sequence[LedgerSides]:
        self.asked.append(tenant_id)
        consumers = dict.fromkeys(CONSUMERS, Done(10)) | {"fraud.score": Done(self.done)}
        return [LedgerSides(NOW - timedelta(minutes=10), 10, {"accepted": 10}, consumers)]


class Gauge:
    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, attributes: dict[str, str]) -> None:
        self.values[tuple(attributes.values())] = value


async def test_the_gauge_follows_the_books_of_tenants_with_entries() -> None:
    books, gauge = Books(), Gauge()
    watch = LedgerWatch(ReadLedger(books, lambda: NOW))
    watch._gauge = gauge  # type: ignore[assignment]
    await watch.look()
    assert books.asked == []
    watch.touch([SHOP])
    await watch.look()
    assert (books.asked, gauge.values) == ([SHOP], {})
    books.done = 7
    await watch.look()
    assert gauge.values == {("shop", "missing", "fraud.score"): 3}
    books.done = 10
    await watch.look()
    assert gauge.values == {("shop", "missing", "fraud.score"): 0}


def test_the_alert_names_the_gauge_as_it_is_exposed() -> None:
    (group,) = (one for one in yaml.safe_load(ALERTS.read_text())["groups"] if one["name"] == "weir-ledger")
    (rule,) = group["rules"]
    name, operator, bound = rule["expr"].split()
    assert (name, operator, bound) == ("weir_ledger_imbalance", ">", "0")
    assert rule["annotations"]["summary"].count("{{") == 3
