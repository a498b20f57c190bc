"""Whether a request is read, and when: not while its tenant has nothing left, and in its tenant's turn.

Reading, parsing and drawing again for what will be refused anyway is work that all other tenants wait for. So a paused tenant
(`GrantQuota.paused`) is answered from memory, and the gateway is told for how long it may answer in the same words by itself
(`gateway/weir_gateway/refuse_unread.lua`). It tells how often it did with the next request that it lets through. The same holds
for a tenant of which more requests wait than its turns will come to.

A request that waits behind others of its tenant is asked about again when its turn comes: most often they have used up what there was.

What is refused unread was not received: it stands in no row of the ledger, since nobody knows how many events it held.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from weir_common.ids import TenantId
from weir_common.metering import RequestMeter
from weir_common.problems import TooManyRequests
from weir_common.telemetry import meter

from weir_ingest.domain.quota import LONGEST_PAUSE_SECONDS, Grant
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.tenant_turns import TenantTurns, TooManyWait, declared_bytes

PAUSE_HEADER = "x-weir-pause"
"""To the gateway, which takes it off: ``milliseconds tenant``."""
REFUSED_HEADER = "x-weir-refused-unread"
"""From the gateway, which lets no caller say it: how many requests with this credential it refused since the last one, by 429 and
by 503."""
_MOST = 1_000_000


class AdmitRequest:
    """The use case: entered with a request's headers when it is known whose it is, left when it is answered."""

    def __init__(
        self, quota: GrantQuota, turns: TenantTurns, requests: RequestMeter, *, method: str, path: str
    ) -> None:
        self._quota = quota
        self._turns = turns
        self._requests = requests
        self._method = method
        self._path = path
        self._refused = meter().create_counter(
            "weir.ingest.refused.unread",
            unit="{request}",
            description="Requests refused unread, for the quota (429) or for too many that wait (503)",
        )

    @asynccontextmanager
    async def __call__(self, tenant_id: TenantId, headers: Mapping[str, str]) -> AsyncIterator[None]:
        """``TooManyRequests`` while the tenant is paused; ``Unavailable`` if its turn does not come."""
        self._count(tenant_id, headers)
        self._refuse_paused(tenant_id)
        size = declared_bytes(headers.get("content-length", ""), headers.get("content-encoding", ""))
        try:
            async with self._turns.turn(tenant_id, size):
                self._refuse_paused(tenant_id)
                yield
        except TooManyWait as error:
            # Its line is longer than this pause, so the pause takes nothing from it.
            error.headers[PAUSE_HEADER] = _pause(tenant_id, LONGEST_PAUSE_SECONDS)
            raise

    def _count(self, tenant_id: TenantId, headers: Mapping[str, str]) -> None:
        numbers = headers.get(REFUSED_HEADER, "").split()
        for status, number in zip((429, 503), map(_number, numbers), strict=False):
            if number:
                self._refused.add(number, _attributes(tenant_id, "gateway", status))
                self._requests.count_elsewhere(tenant_id, self._path, self._method, status, number)

    def _refuse_paused(self, tenant_id: TenantId) -> None:
        grant = self._quota.paused(tenant_id)
        if grant is None:
            return
        self._refused.add(1, _attributes(tenant_id, "ingest", 429))
        raise TooManyRequests(
            "The tenant's quota is used up; the request was not read. Send it again after Retry-After.",
            retry_after_seconds=grant.retry_after_seconds,
            headers={**grant.headers, **pause_header(tenant_id, grant)},
        )


def pause_header(tenant_id: TenantId, grant: Grant) -> dict[str, str]:
    """For the answer that begins or meets a pause; nothing without one."""
    if grant.pause_seconds <= 0:
        return {}
    return {PAUSE_HEADER: _pause(tenant_id, grant.pause_seconds)}


def _pause(tenant_id: TenantId, seconds: float) -> str:
    return f"{math.ceil(seconds * 1_000)} {tenant_id}"


def _attributes(tenant_id: TenantId, by: str, status: int) -> dict[str, str | int]:
    return {"weir.tenant.id": tenant_id, "weir.refused.by": by, "http.response.status_code": status}


def _number(text: str) -> int:
    """0 for what is none: the header comes from the gateway, and a wrong count is no reason to refuse a request."""
    return min(int(text), _MOST) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
