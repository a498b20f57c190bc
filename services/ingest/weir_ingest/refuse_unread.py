"""Refuse a request of a tenant that has nothing left before it is read, and count those that the gateway refused for us.

Reading, parsing and drawing again for what will be refused anyway is work that all other tenants wait for. So a paused tenant
(`GrantQuota.paused`) is answered from memory, and the gateway is told for how long it may answer in the same words by itself
(`gateway/weir_gateway/refuse_unread.lua`). It tells how often it did with the next request that it lets through.

What is refused unread was not received: it stands in no row of the ledger, since nobody knows how many events it held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from weir_common.ids import TenantId
from weir_common.metering import RequestMeter
from weir_common.problems import TooManyRequests
from weir_common.telemetry import meter

from weir_ingest.domain.quota import Grant
from weir_ingest.grant_quota import GrantQuota

PAUSE_HEADER = "x-weir-pause"
"""To the gateway, which takes it off: ``milliseconds tenant``."""
REFUSED_HEADER = "x-weir-refused-unread"
"""From the gateway, which lets no caller say it: how many requests with this credential it refused since the last one."""
_MOST = 1_000_000


class RefuseUnread:
    """The use case: called with a request's headers when it is known whose it is."""

    def __init__(self, quota: GrantQuota, requests: RequestMeter, *, method: str, path: str) -> None:
        self._quota = quota
        self._requests = requests
        self._method = method
        self._path = path
        self._refused = meter().create_counter(
            "weir.ingest.refused.unread",
            unit="{request}",
            description="Requests refused unread, since their tenant's quota was used up a moment ago",
        )

    def __call__(self, tenant_id: TenantId, headers: Mapping[str, str]) -> None:
        """``TooManyRequests`` while the tenant is paused."""
        at_the_gateway = _number(headers.get(REFUSED_HEADER, ""))
        if at_the_gateway:
            self._refused.add(at_the_gateway, {"weir.tenant.id": tenant_id, "weir.refused.by": "gateway"})
            self._requests.count_elsewhere(tenant_id, self._path, self._method, 429, at_the_gateway)
        grant = self._quota.paused(tenant_id)
        if grant is None:
            return
        self._refused.add(1, {"weir.tenant.id": tenant_id, "weir.refused.by": "ingest"})
        raise TooManyRequests(
            "The tenant's quota is used up; the request was not read. Send it again after Retry-After.",
            retry_after_seconds=grant.retry_after_seconds,
            headers={**grant.headers, **pause_header(tenant_id, grant)},
        )


def pause_header(tenant_id: TenantId, grant: Grant) -> dict[str, str]:
    """For the answer that begins or meets a pause; nothing without one."""
    if grant.pause_seconds <= 0:
        return {}
    return {PAUSE_HEADER: f"{math.ceil(grant.pause_seconds * 1_000)} {tenant_id}"}


def _number(text: str) -> int:
    """0 for what is none: the header comes from the gateway, and a wrong count is no reason to refuse a request."""
    return min(int(text), _MOST) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
