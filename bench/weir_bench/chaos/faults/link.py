"""A link between the services and a store that is slow or cut, by toxiproxy."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import httpx
from weir_local.environment import link_of
from weir_local.mesh import Mesh

from weir_bench.chaos.faults.evidence import Evidence
from weir_bench.chaos.plan import Fault, Toxic
from weir_bench.chaos.servers import NotProven

LATENCY_MS, JITTER_MS = 300, 100
RATE_KILOBYTES = 20
HELLO_SECONDS = 2.0
SLOW_SECONDS = 0.2
_PAD = 9_000
"""Enough to take half a second at the throttled rate, and below the longest first message of each server."""
_API_SECONDS = 5.0

_ATTRIBUTES: dict[Toxic, dict[str, int]] = {
    Toxic.LATENCY: {"latency": LATENCY_MS, "jitter": JITTER_MS},
    Toxic.BANDWIDTH: {"rate": RATE_KILOBYTES},
    Toxic.RESET_PEER: {"timeout": 0},
    Toxic.TIMEOUT: {"timeout": 0},
}
_SLOW = (Toxic.LATENCY, Toxic.BANDWIDTH)


async def disturb(mesh: Mesh, fault: Fault) -> Evidence:
    """Recovery counts from the moment at which the link is whole again."""
    if fault.toxic is None:
        raise NotProven("a link needs a toxic")
    port = mesh.port(link_of(fault.target))
    before = await hello(fault.target, port)
    url = f"http://127.0.0.1:{mesh.port('links-api')}"
    async with httpx.AsyncClient(base_url=url, timeout=_API_SECONDS) as api:
        try:
            await _poison(api, fault.target, fault.toxic)
            during = await _hello_or_none(fault.target, port)
            await asyncio.sleep(fault.seconds)
        finally:
            (await api.post("/reset")).raise_for_status()
    since = time.monotonic()
    words = "no answer" if during is None else f"{during:.2f} s"
    if fault.toxic in _SLOW:
        if during is None or during < before + SLOW_SECONDS:
            raise NotProven(f"a hello to {fault.target} took {words} instead of {before:.2f} s")
    elif during is not None:
        raise NotProven(f"{fault.target} answered a hello in {during:.2f} s although its link was cut")
    return Evidence(f"a hello to {fault.target} through its link: {before:.2f} s before, {words} during", since)


async def _poison(api: httpx.AsyncClient, server: str, toxic: Toxic) -> None:
    if toxic is Toxic.DOWN:
        (await api.post(f"/proxies/{server}", json={"enabled": False})).raise_for_status()
        return
    for stream in ("upstream", "downstream"):
        body: dict[str, Any] = {"type": toxic.value, "stream": stream, "attributes": _ATTRIBUTES[toxic]}
        (await api.post(f"/proxies/{server}/toxics", json=body)).raise_for_status()


async def _hello_or_none(server: str, port: int) -> float | None:
    try:
        return await hello(server, port)
    except (OSError, EOFError, TimeoutError):
        return None


async def hello(server: str, port: int) -> float:
    """Seconds until the server answers a first message of 9 KB. Raises OSError, EOFError or TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(HELLO_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_GREETINGS[server])
            await writer.drain()
            await reader.readexactly(1)
        finally:
            writer.close()
    return time.monotonic() - began


def _postgres() -> bytes:
    """StartupMessage of protocol 3.0; it is answered by a request for a password."""
    body = struct.pack("!i", 196_608)
    for name, value in ((b"user", b"weir"), (b"database", b"weir"), (b"application_name", b"x" * _PAD)):
        body += name + b"\0" + value + b"\0"
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _kafka() -> bytes:
    """ApiVersions, version 0, with a long client id."""
    body = struct.pack("!hhih", 18, 0, 1, _PAD) + b"x" * _PAD
    return struct.pack("!i", len(body)) + body


_GREETINGS = {"postgres": _postgres(), "kafka": _kafka(), "valkey": b"PING " + b"x" * _PAD + b"\r\n"}
