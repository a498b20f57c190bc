"""Features of one call, a process of its own: our Valkey function or Feast's online store, the same number of features and rows.

`python reads.py weir|feast PLAN` in the environment of either; the plan is JSON, so is the answer. This file must not import the other's libraries.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any


def closed_loop(ask: Any, sizes: list[int], seconds: float) -> dict[str, Any]:
    """One caller, one call after another: rows a second and latencies, by rows a call."""
    found: dict[str, Any] = {}
    for size in sizes:
        for _ in range(20):
            ask(size)
        latencies = []
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            called = time.perf_counter()
            ask(size)
            latencies.append(time.perf_counter() - called)
        whole = time.perf_counter() - begun
        latencies.sort()
        found[str(size)] = {
            "rows_per_second": len(latencies) * size / whole,
            "p50": latencies[len(latencies) // 2],
            "p99": latencies[int(len(latencies) * 0.99)],
            "calls": len(latencies),
        }
    return found


def weir(plan: dict[str, Any]) -> dict[str, Any]:
    """Update and read, as each decision does it: histories of ten payments, which grow."""
    import uuid
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal

    from redis.asyncio import Redis
    from weir_common.ids import EventId, SubjectId, TenantId
    from weir_fraud.adapters.valkey_features import ValkeyFeatures
    from weir_fraud.domain.catalogue import catalogue_of, load_catalogue
    from weir_fraud.domain.payment import Payment, PaymentKind

    chance = random.Random(plan["seed"])
    full = load_catalogue()
    catalogue = catalogue_of(full[name] for name in plan["features"])
    tenant = TenantId(plan["tenant"])

    def payment() -> Payment:
        person = chance.randrange(plan["people"])
        now = datetime.now(UTC)
        return Payment(
            tenant_id=tenant,
            event_id=EventId(str(uuid.UUID(int=chance.getrandbits(128)))),
            transaction_id="t",
            kind=PaymentKind.PURCHASE,
            at=now - timedelta(seconds=chance.randrange(10)),
            received_at=now,
            subject=SubjectId(f"{person}"),
            amount=Decimal(chance.randrange(100, 100_000)) / 100,
            currency="EUR",
            user_id=f"person-{person}",
            device=f"device-{person}",
            payment_token=f"token-{person}",
            address=f"address-{person}",
            network=f"network-{person % 1000}",
            merchant=f"seller-{person % 500}",
            product=f"product-{person % 2000}",
            country="DE",
        )

    with asyncio.Runner() as runner:
        client = Redis.from_url(plan["valkey"], socket_timeout=5)
        store = ValkeyFeatures(client, catalogue.plan)
        runner.run(store.load())

        def ask(size: int) -> list[list[float]]:
            made = [payment() for _ in range(size)]
            snapshots = runner.run(store.observe(made))
            names = catalogue.names()
            return [catalogue.vector(one, snapshot, names) for one, snapshot in zip(made, snapshots, strict=True)]

        for _ in range(plan["people"] * 10 // 100):
            ask(100)
        answer = closed_loop(ask, plan["sizes"], plan["seconds"])
        runner.run(client.aclose())
    return {"features": len(catalogue.names()), "by_rows": answer}


def feast(plan: dict[str, Any]) -> dict[str, Any]:
    """Read only, as Feast serves: values that were written before."""
    from datetime import UTC, datetime, timedelta
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float64

    folder = Path(plan["folder"])
    names = plan["features"]
    people = plan["people"]
    frame = pd.DataFrame(np.random.default_rng(plan["seed"]).random((people, len(names))), columns=names)
    frame["person"] = np.arange(people)
    frame["event_timestamp"] = datetime.now(UTC)
    frame.to_parquet(folder / "features.parquet")
    config = RepoConfig(
        project=plan["tenant"].replace("-", "_"),
        registry=str(folder / "registry.db"),
        provider="local",
        online_store={"type": "redis", "connection_string": plan["connection"], "key_ttl_seconds": 3_600},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    person = Entity(name="person", join_keys=["person"])
    source = FileSource(path=str(folder / "features.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=name, dtype=Float64) for name in names]
    view = FeatureView(name="payments", entities=[person], ttl=timedelta(days=30), schema=schema, source=source)
    store.apply([person, view])
    store.write_to_online_store("payments", frame)
    wanted = [f"payments:{name}" for name in names]
    chance = random.Random(plan["seed"])

    def ask(size: int) -> Any:
        rows = [{"person": chance.randrange(people)} for _ in range(size)]
        return store.get_online_features(features=wanted, entity_rows=rows).to_dict()

    answer = ask(1)
    if any(answer[name][0] is None for name in names):
        raise SystemExit("Feast gives no values: what was written is not there")
    found = closed_loop(ask, plan["sizes"], plan["seconds"])
    store.teardown()
    return {"features": len(names), "by_rows": found}


if __name__ == "__main__":
    contestant, text = sys.argv[1:]
    sys.stdout.write(json.dumps({"weir": weir, "feast": feast}[contestant](json.loads(text))) + "\n")
