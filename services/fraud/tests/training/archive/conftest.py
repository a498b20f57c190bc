"""An archive in memory: a year of a toy shop in which who pays much more than before is a thief."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from weir_common.ids import EventId, SubjectId, TenantId
from weir_fraud.adapters.archived_payments import Archived
from weir_fraud.domain.payment import LABEL_FRAUD, Known, Payment, PaymentKind, microseconds

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class ArchiveInMemory:
    """Read in another order each time, as a table of files may be."""

    archived: list[Archived]
    known: dict[EventId, Known] = field(default_factory=dict)
    readings: int = 0

    def payments(self, tenant_id: TenantId, since: datetime, until: datetime) -> Iterator[Archived]:
        self.readings += 1
        order = np.random.default_rng(self.readings).permutation(len(self.archived))
        for one in (self.archived[place] for place in order):
            if one.payment.tenant_id == tenant_id and since <= one.payment.at < until:
                yield one


ArchiveOf = Callable[..., ArchiveInMemory]
APayment = Callable[..., Payment]


def _archive_of(payments: Sequence[Payment], known: dict[EventId, Known] | None = None) -> ArchiveInMemory:
    return ArchiveInMemory(
        [Archived(payment, microseconds(payment.received_at), place) for place, payment in enumerate(payments)],
        known or {},
    )


def _a_payment(tenant: TenantId, at: datetime, number: int, user: str, amount: float, **members: object) -> Payment:
    fields: dict[str, object] = {"merchant": f"m{number % 97}", "received_at": at, **members}
    return Payment(
        tenant_id=tenant,
        event_id=EventId(str(uuid.UUID(int=number + 1))),
        transaction_id=str(number),
        kind=PaymentKind.PURCHASE,
        at=at,
        subject=SubjectId(user),
        amount=Decimal(f"{amount:.2f}"),
        currency="EUR",
        user_id=user,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def shop() -> ArchiveInMemory:
    """60 days, 100 payments a day, one in 25 fraud: its amount is twice to eight times what the customer pays otherwise."""
    tenant = TenantId("shop")
    random = np.random.default_rng(5)
    payments: list[Payment] = []
    known: dict[EventId, Known] = {}
    for number in range(6_000):
        at = START + timedelta(days=number / 100)
        customer = int(random.integers(60))
        amount = float(random.lognormal(3, 0.3)) * (1 + customer % 5)
        fraud = random.random() < 0.04
        payment = _a_payment(tenant, at, number, f"u{customer}", amount * (random.uniform(2, 8) if fraud else 1))
        payments.append(payment)
        if fraud:
            known[payment.event_id] = Known(LABEL_FRAUD, microseconds(at + timedelta(days=5)))
    return _archive_of(payments, known)


@pytest.fixture(scope="session")
def archive_of() -> ArchiveOf:
    """An archive of payments, in the order of their arrival."""
    return _archive_of


@pytest.fixture(scope="session")
def a_payment() -> APayment:
    """A payment, by tenant, time, number, user and amount."""
    return _a_payment


@pytest.fixture(scope="session")
def start() -> datetime:
    """When the shop opened."""
    return START
