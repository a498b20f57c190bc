"""The API ``external.metrics.k8s.io``: replicas that each tenant's load needs, for the autoscaling controller.

TLS, and only for who shows a certificate of the aggregation layer's own authority (kube-apiserver, on behalf of a user that
it has authenticated and authorised). Answers come from memory. What is not known is 404, never an old or invented
number: the controller obeys a value whatever its timestamp says, and at 404 it holds.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web
from weir_common.errors import StopError
from weir_common.ids import TenantId

from weir_tenant_admin.domain.cluster_names import METRIC, namespace_of
from weir_tenant_admin.domain.scaling import required
from weir_tenant_admin.domain.tenant import is_tenant_id
from weir_tenant_admin.lag_table import LagTable
from weir_tenant_admin.settings import ExternalMetricsSettings

log = structlog.get_logger(__name__)

GROUP = "external.metrics.k8s.io"
VERSION = "v1beta1"
_ROOT = f"/apis/{GROUP}/{VERSION}"
_STOP_SECONDS = 5.0
_EQUALS = re.compile(r"([A-Za-z0-9./_-]+)={1,2}([A-Za-z0-9._-]*)")


class ExternalMetrics:
    """The server, as a background task."""

    def __init__(self, settings: ExternalMetricsSettings, lags: LagTable, now: Callable[[], float]) -> None:
        self._settings = settings
        self._lags = lags
        self._now = now

    def application(self) -> web.Application:
        """Routes and the check of who asks."""
        app = web.Application(middlewares=[self._only_the_aggregator])
        app.router.add_get(_ROOT, self._resources)
        app.router.add_get(f"{_ROOT}/namespaces/{{namespace}}/{{metric}}", self._values)
        return app

    def tls(self) -> ssl.SSLContext:
        """A context that demands a client certificate; ``StopError`` if a file is missing or unreadable."""
        settings = self._settings
        if settings.cert_path is None or settings.key_path is None or settings.client_ca_path is None:
            raise StopError("external metrics have a port but no certificate, key or client CA")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(settings.cert_path, settings.key_path)
            context.load_verify_locations(settings.client_ca_path)
        except (OSError, ssl.SSLError) as error:
            raise StopError(f"the certificates of external metrics cannot be read: {error}") from error
        return context

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.port, ssl_context=self.tls()).start()
            log.info("external metrics are served", port=self._settings.port)
            await stop.wait()
        finally:
            async with asyncio.timeout(2 * _STOP_SECONDS):
                await runner.cleanup()

    @web.middleware
    async def _only_the_aggregator(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        # The handshake has verified the chain; whose name it is, is for us to look at.
        name = _common_name(request.get_extra_info("peercert"))
        if name not in self._settings.allowed_names:
            log.warning("external metrics refused", certificate=name)
            return _status(403, "Forbidden", "this certificate may not speak for others")
        if not request.headers.get("X-Remote-User"):
            return _status(401, "Unauthorized", "the request names no user")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _resources(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [
                    {
                        "name": METRIC,
                        "singularName": "",
                        "namespaced": True,
                        "kind": "ExternalMetricValueList",
                        "verbs": ["get"],
                    }
                ],
            }
        )

    async def _values(self, request: web.Request) -> web.Response:
        metric, namespace = request.match_info["metric"], request.match_info["namespace"]
        labels = _labels(request.query.get("labelSelector", ""))
        if labels is None or labels.keys() != {"tenant", "service"}:
            return _status(400, "BadRequest", "the selector must be tenant=…,service=…")
        tenant_id = TenantId(labels["tenant"])
        # A namespace sees its own tenant's load only.
        if metric != METRIC or not is_tenant_id(tenant_id) or namespace_of(tenant_id) != namespace:
            return _status(404, "NotFound", f"there is no {metric} of these labels in {namespace}")
        now = self._now()
        measured = self._lags.measure(labels["service"], tenant_id, now)
        needed = required(measured)
        if needed is None:
            return _status(404, "NotFound", f"the load is not known: {measured.source}")
        at = datetime.fromtimestamp(now - (measured.age_s or 0.0), UTC)
        return web.json_response(
            {
                "kind": "ExternalMetricValueList",
                "apiVersion": f"{GROUP}/{VERSION}",
                "metadata": {},
                "items": [
                    {
                        "metricName": METRIC,
                        "metricLabels": labels,
                        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                        "value": str(needed),
                    }
                ],
            }
        )


def _labels(selector: str) -> dict[str, str] | None:
    """``a=b,c=d`` as a mapping; None if it is anything else (sets, inequalities, a key twice)."""
    labels: dict[str, str] = {}
    for part in selector.split(","):
        match = _EQUALS.fullmatch(part.strip())
        if match is None or match[1] in labels:
            return None
        labels[match[1]] = match[2]
    return labels


def _common_name(certificate: Any) -> str | None:
    """Of a certificate as ``ssl.getpeercert`` gives it."""
    for attributes in (certificate or {}).get("subject", ()):
        for name, value in attributes:
            if name == "commonName":
                return str(value)
    return None


def _status(code: int, reason: str, message: str) -> web.Response:
    """An error in the form of the Kubernetes API."""
    return web.json_response(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code},
        status=code,
    )
