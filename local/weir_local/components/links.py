"""toxiproxy between the services and their stores, so that a chaos run can slow and cut those links.

Only in a mesh that was started with ``--links``. The services are given the proxies' addresses; the launcher, the gateway and
whoever judges the run keep the servers' own.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from weir_local.component import Component, Launch, Report
from weir_local.environment import LINKED, link_of
from weir_local.go_programs import GoProgram, cached_program
from weir_local.mesh import Mesh

PROGRAM = GoProgram(
    "toxiproxy", Path(__file__).parents[1] / "links", package="github.com/Shopify/toxiproxy/v2/cmd/server"
)
_ASK_SECONDS = 4.0


class Links(Component):
    name = "links"
    ports = ("links-api", "kafka-linked", *(link_of(server) for server in LINKED))

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        report("building toxiproxy (the first time half a minute)")
        await cached_program(mesh.cache, PROGRAM)

    def launch(self, mesh: Mesh) -> Launch:
        program, port = PROGRAM.path(mesh.cache), mesh.port("links-api")
        return Launch((str(program), "-host", "127.0.0.1", "-port", str(port), "-proxy-metrics"))

    async def ready(self, mesh: Mesh) -> None:
        async with httpx.AsyncClient(timeout=_ASK_SECONDS) as client:
            (await client.get(f"{self.url(mesh)}/version")).raise_for_status()

    async def settle(self, mesh: Mesh) -> None:
        # Kafka's link ends at the listener that advertises the link: clients go where metadata send them.
        upstream = {server: "kafka-linked" if server == "kafka" else server for server in LINKED}
        proxies = [
            {
                "name": server,
                "listen": f"127.0.0.1:{mesh.port(link_of(server))}",
                "upstream": f"127.0.0.1:{mesh.port(upstream[server])}",
                "enabled": True,
            }
            for server in LINKED
        ]
        async with httpx.AsyncClient(timeout=_ASK_SECONDS) as client:
            (await client.post(f"{self.url(mesh)}/populate", json=proxies)).raise_for_status()

    def url(self, mesh: Mesh) -> str | None:
        return f"http://127.0.0.1:{mesh.port('links-api')}"
