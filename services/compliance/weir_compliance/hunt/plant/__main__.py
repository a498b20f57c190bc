"""``python -m weir_compliance.hunt.plant planted.jsonl``: plant values in the mesh of this folder and write down what they are."""

import asyncio
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import grpc
import httpx
import typer

from weir_compliance.hunt.native import throw_away_tenant, wait_until_arrived, wait_until_exported
from weir_compliance.hunt.plant.front_door import PlantFaultError, Planting, plant
from weir_compliance.hunt.planted import write_planted
from weir_compliance.hunt.prove import BlindError


def main(
    out: Annotated[Path, typer.Argument(help="File for the planted values, JSON lines; readable by you only.")],
    values: Annotated[int, typer.Option(min=1, max=100_000, help="How many that the mesh keeps.")] = 1_000,
    seed: Annotated[
        str, typer.Option(help="The same seed and tenant give the same values (default: a random one).")
    ] = "",
    tenant: Annotated[str | None, typer.Option(help="Id of the tenant to make (default: a random one).")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until every consumer, the export and the lake have them.")] = True,
) -> None:
    """Plant values of every identifier kind in a throw-away tenant, through the front door, in every form that it takes.

    Then `weir hunt OUT --by-kind` says where each is. Exit code 2 if the mesh did not take them.

    Example:  python -m weir_compliance.hunt.plant planted.jsonl --values 1000 --seed 7
    """
    try:
        planting = asyncio.run(_plant(seed or secrets.token_hex(4), tenant, values, out, wait=wait))
    except (PlantFaultError, BlindError, httpx.HTTPError, grpc.aio.AioRpcError, TimeoutError, RuntimeError) as error:
        sys.stderr.write(f"not planted: {type(error).__name__}: {error}\n")
        raise typer.Exit(2) from error
    kept = sum(one.kept for one in planting.planted)
    carriers = ", ".join(f"{count} as {name}" for name, count in sorted(planting.carriers.items()))
    sys.stdout.write(f"{kept} values in {len(planting.event_ids)} events ({carriers})\n")
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(planting.answers.items()))
    sys.stdout.write(f"{len(planting.planted) - kept} values in requests that are not kept (answered {answers})\n")


async def _plant(seed: str, tenant: str | None, values: int, out: Path, *, wait: bool) -> Planting:
    # Imported late: where the mesh is, only the command needs to know.
    from weir_local.cli import this_mesh

    mesh = this_mesh()
    since = time.time() - 1
    async with throw_away_tenant(mesh, tenant) as opened:
        planting = await plant(opened.door, seed, values)
        # Written before the wait: what was planted can be hunted even if it does not arrive.
        await asyncio.to_thread(write_planted, out, planting.planted)
        if wait:
            for request_id in planting.exports:
                await wait_until_exported(opened, request_id)
            await wait_until_arrived(mesh, opened, len(planting.event_ids), planting.arrivals, since)
    return planting


if __name__ == "__main__":
    typer.run(main)
