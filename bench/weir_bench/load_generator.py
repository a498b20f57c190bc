"""The open-loop load: a Go program over vegeta (``load/``), since a Python client would take half of the machine it measures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from weir_local import certificates
from weir_local.go_programs import GoProgram, cached_program
from weir_local.mesh import Mesh

MODULE = Path(__file__).with_name("load")
TEMPLATE = Path(__file__).with_name("event.json")
GRACE_SECONDS = 60
_LINE_LIMIT = 16 * 1_048_576


class LoadTenant(msgspec.Struct, frozen=True):
    """Who sends, and how often beside the others."""

    id: str
    key: str
    weight: float = 1.0


class Phase(msgspec.Struct, frozen=True):
    """A stretch of constant load: events and fraud decisions a second."""

    name: str
    seconds: float
    rate: float
    decisions: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: events in batches of one tenant each, of so many people, some purchases, some invalid, some repeated."""

    tenants: list[LoadTenant]
    phases: list[Phase]
    batch: int
    people: int = 10_000
    purchase_every: int = 10
    invalid_share: float = 0.0
    duplicate_share: float = 0.0
    seed: int = 1
    connections: int = 256


class Quantiles(msgspec.Struct, frozen=True):
    """Seconds from the intended time of sending."""

    count: int
    p50: float
    p95: float
    p99: float
    p999: float
    max: float


class PhaseReport(msgspec.Struct, frozen=True):
    """What the generator saw. ``unique`` and ``purchases``: different events accepted, by tenant."""

    phase: str
    seconds: float
    sent: dict[str, int]
    fates: dict[str, int]
    unique: dict[str, int]
    purchases: dict[str, int]
    errors: dict[str, int]
    batches: Quantiles
    decisions: Quantiles
    each_ten_seconds: list[Quantiles]

    @property
    def accepted(self) -> int:
        return self.fates.get("accepted", 0)


class Target(msgspec.Struct, frozen=True):
    """Where the load goes, by which authority it is trusted, and where programs are cached."""

    cache: Path
    url: str
    authority: Path


def template(folder: Path) -> Path:
    """The sample event with the places that the generator fills."""
    document: dict[str, Any] = json.loads(TEMPLATE.read_text())
    document["tenant_id"] = "@TENANT@"
    document["event_metadata"] |= {"event_id": "@EVENT@", "timestamp": "@TIME@"}
    document["event_data"] |= {"event_type": "@TYPE@", "event_subtype": "@SUBTYPE@"}
    user = document["event_data"]["user_context"]
    user |= {"user_id": "@USER@", "anonymous_id": "@USER@"}
    session = user["session_data"]
    session["session_id"] = "session-@USER@"
    session["session_attributes"]["device_fingerprint"] = "@USER@"
    cart = document["event_data"]["business_context"]["transaction_context"]["cart_context"]
    cart["cart_id"] = "@EVENT@"
    cart["payment_context"]["payment_methods"][0]["tokenized_identifier"] = "@USER@"
    file = folder / "template.json"
    file.write_bytes(msgspec.json.encode(document))
    return file


async def offer(
    mesh: Mesh, plan: Plan, folder: Path, on_phase: Callable[[str], None] = lambda _: None
) -> AsyncIterator[PhaseReport]:
    """Through a mesh's gateway; see `offer_to`."""
    gateway = Target(mesh.cache, f"https://localhost:{mesh.port('gateway-https')}", certificates.ca(mesh).certificate)
    async for report in offer_to(gateway, plan, folder, on_phase):
        yield report


async def offer_to(
    target: Target, plan: Plan, folder: Path, on_phase: Callable[[str], None] = lambda _: None
) -> AsyncIterator[PhaseReport]:
    """Run the phases one after another; ``on_phase`` hears the name of each as it begins. Raises RuntimeError if the program fails."""
    file = _write(target, plan, folder)
    program = await cached_program(target.cache, GoProgram("weir-load", MODULE))
    process = await asyncio.create_subprocess_exec(
        str(program), str(file), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(sum(phase.seconds + GRACE_SECONDS for phase in plan.phases)):
            async for line in process.stdout:
                document = json.loads(line)
                if document.get("began"):
                    on_phase(document["phase"])
                else:
                    yield msgspec.convert(document, PhaseReport)
            if await process.wait() != 0:
                raise RuntimeError(f"the load generator ended with {process.returncode}; its words are above")
    finally:
        if process.returncode is None:
            process.kill()
        file.unlink(missing_ok=True)


def _write(target: Target, plan: Plan, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "plan.json"
    file.write_bytes(
        msgspec.json.encode(
            {
                **msgspec.structs.asdict(plan),
                "url": target.url,
                "ca": str(target.authority),
                "template": str(template(folder)),
            }
        )
    )
    file.chmod(0o600)  # it holds the tenants' keys
    return file


def weights_by_zipf(count: int, exponent: float = 1.0) -> Sequence[float]:
    """Weights of Zipf's law: the n-th has 1/n^exponent."""
    return [1 / number**exponent for number in range(1, count + 1)]
