"""``make test-compose``: the images built by the Dockerfile, docker-compose.yml brought up by podman-compose, one event through it.

Health checks need systemd, which is not here: the order that ``depends_on`` asks for is kept in three steps, and each step
is waited for by the image's own health command. Everything that is made lies in one folder and goes at the end (``--keep`` leaves it).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import ssl
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from weir_local.compose import document, secrets
from weir_local.compose.podman import ROOT, CommandFailed, Podman
from weir_local.demo import attacks
from weir_local.environment import SERVICES
from weir_local.mesh import default_cache_directory

SERVERS = ("postgres", "valkey", "kafka", "temporal")
READY_SECONDS = 90


def main() -> int:
    """Everything, with a line for each step."""
    parser = argparse.ArgumentParser(prog="python -m weir_local.compose.bring_up", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave containers, images and folder for a look")
    parser.add_argument("--folder", type=Path, help="where images and layers lie (the cache folder)")
    parser.add_argument("--built", action="store_true", help="take our images as they are, from a run with --keep")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("podman needs root here: run it as root", file=sys.stderr)
        return 2
    cache = default_cache_directory(os.environ)
    podman = Podman(arguments.folder or cache / "compose", cache)
    try:
        _all(podman, build=not arguments.built)
    except (CommandFailed, AssertionError, httpx.HTTPError, TimeoutError) as error:
        print(f"failed: {error}", file=sys.stderr)
        _show_logs(podman)
        return 1
    finally:
        if not arguments.keep:
            with _step("taking it down"):
                _clean(podman)
    return 0


def _all(podman: Podman, *, build: bool) -> None:
    with _step("installing podman, buildah and debootstrap"):
        podman.install()
    with _step("installing podman-compose"):
        program = str(podman.compose_program())
    with _step("making the base image"):
        podman.make_base()
    with _step("making the servers' images"):
        podman.make_servers()
    for service in (*SERVICES, "gateway") if build else ():
        with _step(f"building weir/{service}"):
            podman.build(service)
    print("  " + ", ".join(f"{name} {size}" for name, size in podman.images().items()))
    with _step("making secrets"):
        secrets.make(ROOT)
    compose = (program, "-f", str(ROOT / "docker-compose.yml"))
    for names in (SERVERS, SERVICES, ("gateway",)):
        with _step(f"starting {', '.join(names)}"):
            podman.run(*compose, "up", "-d", "--no-deps", "--no-build", *names, seconds=180)
            for name in names:
                _until(partial(_healthy, podman, name), f"{name} is not healthy")
    with _step("one event through the gateway, seen on the dashboard"):
        _one_event()


def _healthy(podman: Podman, name: str) -> bool:
    if name in SERVERS:
        # Stand-ins lack the clients that the official images' health checks call: a port that answers is asked for instead.
        port = {"postgres": 5432, "valkey": 6379, "kafka": 9092, "temporal": 7233}[name]
        question = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        asked = ["python3", "-c", question]
    else:
        asked = ["/opt/weir/healthy"]
    try:
        podman.run("podman", "exec", f"weir_{name}_1", *asked, seconds=20)
    except CommandFailed:
        return False
    return True


def _one_event() -> None:
    files = ROOT / document.STATE / "files"
    operator = {"x-api-key": (files / "operator-api-key").read_text().strip()}
    trust = ssl.create_default_context(cafile=str(files / "ca.pem"))
    with httpx.Client(base_url=f"https://localhost:{document.HTTPS}", verify=trust, timeout=10) as client:
        tenant = f"compose-{uuid.uuid4().hex[:8]}"
        body = {"tenant_id": tenant, "name": "Compose", "tier": "standard", "vertical": "grocery"}

        def created() -> bool:
            return client.post("/api/v2/admin/tenants", json=body, headers=operator).status_code in (201, 409)

        _until(created, "no tenant can be created")
        keys = client.post(
            f"/api/v2/admin/tenants/{tenant}/keys",
            json={"client": "web", "roles": ["ingest", "owner"]},
            headers=operator,
        )
        keys.raise_for_status()
        mine = {"x-api-key": keys.json()["api_key"]}
        event = attacks.payment(tenant, str(uuid.uuid4()), datetime.now(UTC))

        def accepted() -> bool:
            answer = client.post("/api/v2/events/batch", json={"events": [event]}, headers=mine)
            return answer.status_code == 202 and answer.json()["results"][0]["status"] in ("accepted", "duplicate")

        def seen() -> bool:
            answer = client.get("/api/v2/analytics/realtime/dashboard", params={"tenant_id": tenant}, headers=mine)
            return answer.status_code == 200 and '"orders"' in answer.text and _orders(answer.text) == 1

        _until(accepted, "the event was not accepted")
        _until(seen, "the event is not on the dashboard")
        score = client.post("/api/v2/ml/inference/fraud", json=event, headers=mine)
        print(f"  fraud answers {score.status_code}: {score.text[:100]}")


def _orders(text: str) -> int:
    return sum(int(figure["value"]) for figure in json.loads(text)["metrics"]["orders"]["figures"])


def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if true():
                return
        except httpx.TransportError as error:
            otherwise = f"{otherwise} ({error!r})" if repr(error) not in otherwise else otherwise
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {READY_SECONDS} s")
        time.sleep(1)


def _show_logs(podman: Podman) -> None:
    for name in (*SERVERS, *SERVICES, "gateway"):
        with contextlib.suppress(CommandFailed):
            print(
                f"── {name}\n{podman.run('podman', 'logs', '--tail', '12', f'weir_{name}_1', seconds=20)}",
                file=sys.stderr,
            )


def _clean(podman: Podman) -> None:
    with contextlib.suppress(CommandFailed):
        program = str(podman.compose_program())
        podman.run(program, "-f", str(ROOT / "docker-compose.yml"), "down", "--volumes", "-t", "20", seconds=300)
    with contextlib.suppress(CommandFailed):
        podman.run("podman", "rmi", "--all", "--force", seconds=120)
    shutil.rmtree(podman.folder, ignore_errors=True)


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"  … {what}", flush=True)
    yield
    print(f"  ● {what}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
