"""The mesh as a client sees it: through the gateway, over TLS, with a tenant's own key."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from weir_local import certificates
from weir_local.mesh import Mesh

_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_RETRY_SECONDS = 60.0


class MeshNotRunning(RuntimeError):
    """Nothing listens where this checkout's gateway would."""


@dataclass
class Gateway:
    """One HTTP client; use as an async context. Entering it raises `MeshNotRunning` if there is no gateway."""

    client: httpx.AsyncClient
    operator_key: str
    retries: int = field(default=0)

    @classmethod
    def of(cls, mesh: Mesh) -> Gateway:
        """A client of this mesh's gateway that trusts its development CA."""
        context = ssl.create_default_context(cafile=str(certificates.ca(mesh).certificate))
        client = httpx.AsyncClient(
            base_url=f"https://localhost:{mesh.port('gateway-https')}", verify=context, timeout=_TIMEOUT, http2=False
        )
        return cls(client, certificates.bootstrap_key(mesh).read_text().strip())

    async def __aenter__(self) -> Gateway:
        await self.client.__aenter__()
        try:
            await self.client.get("/")
        except httpx.ConnectError as error:
            await self.client.aclose()
            raise MeshNotRunning(f"nothing listens on {self.client.base_url}: start the mesh with `weir up`") from error
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.client.__aexit__(*exception)

    async def operator(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request with the operator's key."""
        return await self.client.request(method, path, headers={"x-api-key": self.operator_key}, **more)

    async def subject_ids(self, key: str, identifiers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str | None]]:
        """As what the tenant's customers and devices stand in findings and decisions; at most 50 of a kind.

        Kinds are `user_ids`, `anonymous_ids` and `device_fingerprints`; who is not known has None.
        """
        answer = await self.client.post(
            "/api/v2/compliance/subjects/lookup",
            json={kind: list(values) for kind, values in identifiers.items()},
            headers={"x-api-key": key},
        )
        answer.raise_for_status()
        found: dict[str, dict[str, str | None]] = answer.json()
        return found

    async def send_batch(
        self, key: str, events: Sequence[Mapping[str, Any]], *, traceparent: str | None = None
    ) -> dict[str, Any]:
        """Send until every event has a lasting fate, as a careful client does; gives the last answer.

        Raises ``RuntimeError`` when the mesh does not take it for a minute, or refuses it altogether.
        """
        headers = {"x-api-key": key, **({"traceparent": traceparent} if traceparent else {})}
        deadline = time.monotonic() + _RETRY_SECONDS
        pause = 0.05
        while True:
            try:
                answer = await self.client.post("/api/v2/events/batch", json={"events": list(events)}, headers=headers)
            except httpx.HTTPError as error:
                fault = repr(error)
            else:
                if answer.status_code in (202, 207, 422):
                    document: dict[str, Any] = answer.json()
                    if not document["summary"]["unavailable"]:
                        return document
                elif answer.status_code < 500 and answer.status_code != 429:
                    raise RuntimeError(f"the batch was refused: {answer.status_code} {answer.text[:500]}")
                fault = f"{answer.status_code} {answer.text[:200]}"
            if time.monotonic() > deadline:
                raise RuntimeError(f"the batch was not taken for {_RETRY_SECONDS:.0f} s: {fault}")
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
