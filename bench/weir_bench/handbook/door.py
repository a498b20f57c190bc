"""The handbook's payments and labels through the gateway, as a merchant that moves to Weir would import its past."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray
from weir_local.demo.api import Gateway

from weir_bench.handbook.published import DAY_SECONDS, FIRST_DAY, Transactions, event_id
from weir_bench.load_generator import LoadTenant

EVENTS_A_REQUEST: Final = 200
LABELS_A_REQUEST: Final = 500
SENDERS: Final = 6
"""Each has its own customers, whose payments stay in order; all wait for each other at the end of a day."""
KNOWN_AFTER: Final = timedelta(days=6)
"""A label comes before the seven days are over after which it must be known."""
_TRIES: Final = 200


class DoorShut(RuntimeError):
    """A request was refused for good, or too often."""


class Door:
    """One tenant's way in."""

    def __init__(self, gateway: Gateway, tenant: LoadTenant, run: uuid.UUID, shift: timedelta) -> None:
        self._gateway = gateway
        self._tenant = tenant
        self._run = run
        self._shift = shift

    async def labels(self, data: Transactions, rows: NDArray[np.int64], *, decided: bool = False) -> int:
        """Chargebacks of the frauds among these rows; of payments that are still to come, unless they were ``decided``."""
        labels = [
            {
                "event_id": self.event_id(data, row),
                "label": "chargeback",
                "occurred_at": (self.at(int(data.seconds[row])) + KNOWN_AFTER).isoformat(),
            }
            for row in rows[data.frauds[rows] == 1].tolist()
        ]
        expected = "recorded" if decided else "unknown_event"
        for chunk in _chunks(labels, LABELS_A_REQUEST):
            body = await self._post("/api/v2/ml/feedback/fraud", {"labels": chunk})
            statuses = {result["status"] for result in body["results"]}
            if statuses != {expected}:
                raise DoorShut(f"labels were answered {sorted(statuses)}, expected is {expected}")
        return len(labels)

    async def payments(self, data: Transactions, days: range, said: Callable[[int, float], None]) -> None:
        """Every payment of these days is accepted exactly once, or this raises."""
        started = time.monotonic()
        sent = 0
        day_of = data.seconds // DAY_SECONDS
        for day in days:
            rows = (day_of == day).nonzero()[0]
            mine = [rows[data.customers[rows] % SENDERS == sender] for sender in range(SENDERS)]
            async with asyncio.TaskGroup() as group:
                for own in mine:
                    group.create_task(self._send(data, own.tolist()))
            sent += len(rows)
            said(sent, time.monotonic() - started)

    def at(self, seconds: int) -> datetime:
        """When it is as if it had happened."""
        return FIRST_DAY + self._shift + timedelta(seconds=seconds)

    async def _send(self, data: Transactions, rows: Sequence[int]) -> None:
        for chunk in _chunks(rows, EVENTS_A_REQUEST):
            body = await self._post("/api/v2/events/batch", {"events": [self.event(data, row) for row in chunk]})
            refused = [one for one in body["results"] if one["status"] not in ("accepted", "duplicate")]
            if refused:
                raise DoorShut(f"{len(refused)} payments of {len(chunk)} were refused, the first: {refused[0]}")

    def event_id(self, data: Transactions, row: int) -> str:
        """Of the payment of a row, in this run."""
        return event_id(self._run, int(data.ids[row]))

    def event(self, data: Transactions, row: int) -> dict[str, Any]:
        """The payment of a row as an event."""
        return {
            "schema_version": "2.2",
            "tenant_id": self._tenant.id,
            "event_metadata": {
                "event_id": self.event_id(data, row),
                "timestamp": self.at(int(data.seconds[row])).isoformat(),
                "source_system": "batch_import",
            },
            "event_data": {
                "event_type": "transaction",
                "event_subtype": "purchase",
                "user_context": {"user_id": f"customer-{data.customers[row]}"},
                "business_context": {
                    "tenant_metadata": {"merchant_id": f"terminal-{data.terminals[row]}"},
                    "transaction_context": {
                        "cart_context": {
                            "cart_value": {"final_total": msgspec.Raw(data.amounts[row].encode()), "currency": "EUR"}
                        }
                    },
                },
            },
        }

    async def _post(self, path: str, document: object) -> dict[str, Any]:
        """Sent again while the mesh says that it is busy; a payment that was accepted is then a duplicate."""
        content = msgspec.json.encode(document)
        headers = {"x-api-key": self._tenant.key, "content-type": "application/json"}
        for _ in range(_TRIES):
            try:
                answer = await self._gateway.client.post(path, content=content, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code in (429, 503):
                await asyncio.sleep(min(2.0, float(answer.headers.get("retry-after", "1"))))
                continue
            if answer.status_code not in (200, 202, 207):
                raise DoorShut(f"{path}: {answer.status_code} {answer.text[:500]}")
            body: dict[str, Any] = msgspec.json.decode(answer.content)
            return body
        raise DoorShut(f"{path}: refused {_TRIES} times")


def _chunks(rows: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
