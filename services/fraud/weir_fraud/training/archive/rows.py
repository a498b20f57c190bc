"""What a model learns from: one row a payment, with its features as they were when it came and what had become known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from weir_common.ids import EventId, TenantId

from weir_fraud.adapters.archived_payments import Archived
from weir_fraud.adapters.duckdb_features import point_in_time
from weir_fraud.domain.aggregate import RETENTION_SECONDS
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.payment import LABEL_FRAUD, Known, Observation, microseconds, observation_of

REACH: Final = timedelta(seconds=RETENTION_SECONDS)
"""So much of the past is read beside the rows: what their windows look at."""
_BLOCK: Final = 20_000
_PLACES: Final = {name: place for place, name in enumerate(Observation._fields)}


class Payments(Protocol):
    """The archive as it stands; read twice, it gives the same payments."""

    def payments(self, tenant_id: TenantId, since: datetime, until: datetime) -> Iterator[Archived]: ...


@dataclass(frozen=True)
class Rows:
    """In order of event time. `x`: float32 (rows, features), nan where not known; `y`: 1 for fraud; `at`: µs; `card`: who pays."""

    names: tuple[str, ...]
    x: NDArray[np.float32]
    y: NDArray[np.int8]
    at: NDArray[np.int64]
    card: NDArray[np.int64]
    """The payer's hash, 0 for an unknown one: a queue of reviews is one of cards, not of payments."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hex."""
        digest = sha256("\x00".join(self.names).encode())
        for part in (self.x, self.y, self.at, self.card):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def between(self, since: datetime, until: datetime) -> Rows:
        """Those of a period of event time; both ends as in `range`."""
        first, end = np.searchsorted(self.at, [microseconds(since), microseconds(until)])
        return self._chosen(slice(int(first), int(end)))

    def only(self, wanted: Sequence[str]) -> Rows:
        """With these features only."""
        columns = [self.names.index(name) for name in wanted]
        return replace(self, names=tuple(wanted), x=np.ascontiguousarray(self.x[:, columns]))

    def _chosen(self, rows: slice | NDArray[np.int64]) -> Rows:
        return replace(self, x=self.x[rows], y=self.y[rows], at=self.at[rows], card=self.card[rows])

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Of several tenants, in order of event time again."""
        first, *others = parts
        if not others:
            return first
        whole = replace(
            first,
            x=np.concatenate([part.x for part in parts]),
            y=np.concatenate([part.y for part in parts]),
            at=np.concatenate([part.at for part in parts]),
            card=np.concatenate([part.card for part in parts]),
        )
        return whole._chosen(np.argsort(whole.at, kind="stable"))


def archived_rows(
    archive: Payments,
    tenant_id: TenantId,
    known: Mapping[EventId, Known],
    catalogue: Catalogue,
    since: datetime,
    until: datetime,
) -> Rows:
    """The tenant's payments from ``since`` on and before ``until``; ``known`` is what had become known when the model is trained.

    A payment of which nothing is known counts as honest, so ``until`` is to lie as far back as labels take. In the features a label counts
    only from when it came on, as online. Two readings of the archive: histories as numbers, then the rows themselves; a payment as
    an object takes a kilobyte, and there may be millions.
    """
    arrivals, observations = _observed(archive, tenant_id, known, since - REACH, until)
    names = catalogue.names()
    moments = observations[:, _PLACES["at"]]
    asked = np.flatnonzero(moments >= microseconds(since))
    aggregates = point_in_time(_table(observations), catalogue.plan, microseconds(since))
    row_of = {int(place): row for row, place in enumerate(arrivals[asked])}
    x = np.empty((len(asked), len(names)), dtype=np.float32)
    for payment, _, place in archive.payments(tenant_id, since, until):
        row = row_of[place]
        x[row] = catalogue.vector(payment, aggregates[row].tolist(), names)
    rows = Rows(
        names,
        x,
        (observations[asked, _PLACES["label"]] == LABEL_FRAUD).astype(np.int8),
        moments[asked],
        observations[asked, _PLACES["user"]],
    )
    return rows._chosen(np.argsort(rows.at, kind="stable"))


def _observed(
    archive: Payments, tenant_id: TenantId, known: Mapping[EventId, Known], since: datetime, until: datetime
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places and observations in the order of arrival."""
    orders: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    blocks: list[NDArray[np.int64]] = [np.empty((0, len(Observation._fields)), np.int64)]
    payments = archive.payments(tenant_id, since, until)
    while block := list(islice(payments, _BLOCK)):
        orders.append(np.array([archived.arrival for archived in block], dtype=np.int64))
        blocks.append(np.array([_observation(archived, known) for archived in block], dtype=np.int64))
    order, observations = np.concatenate(orders), np.concatenate(blocks)
    arrival = np.lexsort((order[:, 1], order[:, 0]))
    return order[arrival, 1], observations[arrival]


def _observation(archived: Archived, known: Mapping[EventId, Known]) -> Observation:
    own = observation_of(archived.payment)
    news = known.get(archived.payment.event_id)
    return own if news is None else own._replace(label=news.label, label_at=news.at)


def _table(observations: NDArray[np.int64]) -> pa.Table:
    columns = {
        "moment" if name == "at" else name: pa.array(np.ascontiguousarray(observations[:, place]))
        for name, place in _PLACES.items()
    }
    return pa.table({"seq": pa.array(np.arange(len(observations), dtype=np.int64)), **columns})
