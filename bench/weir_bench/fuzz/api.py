"""``make fuzz-api``: every operation of the six OpenAPI documents with made-up requests, through the gateway; ``.weir/fuzz/api.json``.

Schemathesis makes the requests (half of them valid by the document, half not, and the edges of every parameter) and holds each answer
to the document with all of its checks. ``ARGS="--examples 500 --seed 1 --service anomaly"``. The exit code is 0 when every check held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from weir_ingest.domain.idempotency import MAX_KEY_LENGTH
from weir_local import certificates
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

from weir_bench.fuzz.stand import Stand, prepare

SERVICES: Final = ("ingest", "fraud", "anomaly", "analytics", "compliance", "tenant-admin")
_TIMEOUT_SECONDS: Final = 30.0
_MAX_SAMPLE: Final = 1_500

# What a JSON Schema cannot say, so that a request may be valid by the document and refused all the same, with 422 and the reason.
# Everywhere else a valid request must be taken.
UNSAYABLE: Final = {
    "GET /api/v2/events/quarantine": "a cursor is one that was given out; no second is the 60th",
    "POST /api/v2/events/quarantine/mend": "a selection names something; a patch is one of RFC 6902",
    "POST /api/v2/events/quarantine/discard": "a selection names something; a time has its zone",
    "GET /api/v2/anomalies/active": "a cursor is one that was given out",
    "GET /api/v2/audit/entries": "a cursor is one that was given out",
    "GET /api/v2/admin/tenants": "a cursor is one that was given out",
    "GET /api/v2/analytics/realtime/dashboard": "`from` is before `to`, by at most 31 days",
    "POST /api/v2/events/batch": "names occur once; a CloudEvent and its data agree; amounts have at most 40 digits",
    "POST /api/v2/ml/inference/fraud": "the event is a payment, not of the future, with a plausible amount",
    "POST /api/v2/ml/feedback/fraud": "a label is of a time between 2000 and tomorrow; a reference is nobody's number",
    "GET /api/v2/ml/cases": "a cursor is one that was given out, in this order",
    "PUT /api/v2/ml/policies/fraud/draft": "an expression is CEL; names and entities occur once; a text holds no personal data; 1.0 is no true",
    "POST /api/v2/ml/policies/fraud/draft/submit": "a note holds no personal data; 60.0 is no whole number",
    "POST /api/v2/ml/policies/fraud/rollback": "a note holds no personal data; 60.0 is no whole number",
    "POST /api/v2/ml/policies/fraud/versions/{version}/approve": "a note holds no personal data",
    "POST /api/v2/ml/policies/fraud/versions/{version}/reject": "a note holds no personal data",
    "POST /api/v2/ml/policies/fraud/dry-run": "a document is a valid one, and beside it there is no version",
    "GET /api/v2/ml/policies/fraud/versions": "a cursor is one that was given out",
    "GET /api/v2/ml/declines/fraud/halts": "a cursor is one that was given out",
    "POST /api/v2/ml/declines/fraud/lift": "a note holds no personal data; no second is the 60th",
    "GET /api/v2/ml/models/fraud/versions/{version}/backtests": "a cursor is one that was given out",
    "POST /api/v2/ml/models/fraud/versions/{version}/backtests": "low is at most value, value at most high; a period has been; a champion is registered",
    "POST /api/v2/data/export/gdpr": "a recipient is an age key; a reference is used once",
    "POST /api/v2/admin/tenants/{tenant_id}/keys": "an expiry is in the future; a tenant's key has no operator's role",
    "POST /api/v2/admin/tenants/{tenant_id}/tokens": "a tenant's person has no operator's role; 60.0 is no whole number",
    "POST /api/v2/admin/tenants": "60.0 is no whole number to us",
    "GET /api/v2/metrics/sla": "an operator says which tenant",
    "GET /api/v2/ops/ledger": "an operator says which tenant",
    "POST /api/v2/admin/tenant/scale": "min is at most max",
}
_OF_A_BATCH: Final = frozenset({"POST /api/v2/events/batch", "POST /api/v2/ml/feedback/fraud"})
"""One bad event, or label, never fails the others: an invalid request may be answered with 207."""
_IF_UNCHANGED: Final = tuple(f"POST /api/v2/ml/cases/{{event_id}}/{step}" for step in ("assign", "notes", "resolve"))
"""The version in If-Match may be another than the present one: 412."""


@dataclass
class Tally:
    """One operation: answers by status, and each kind of failure once."""

    examples: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def failed(self, kind: str, sample: str) -> None:
        known = self.failures.setdefault(kind, {"count": 0, "sample": sample[:_MAX_SAMPLE]})
        known["count"] += 1


@dataclass(frozen=True)
class Target:
    """Where the requests go, and as whom."""

    base_url: str
    ca: Path
    stand: Stand

    def document(self, service: str) -> dict[str, Any]:
        """The OpenAPI document as the gateway serves it."""
        answer = requests.get(f"{self.base_url}/openapi/{service}.json", verify=str(self.ca), timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


def configuration() -> SchemathesisConfig:
    """All checks, with what `UNSAYABLE` concedes."""
    accepted = ["2xx", "401", "403", "404", "409", "410", "429"]
    concessions: list[dict[str, Any]] = []
    for name in UNSAYABLE:
        checks: dict[str, Any] = {"positive_data_acceptance": {"expected-statuses": [*accepted, "422"]}}
        if name in _OF_A_BATCH:
            refused = ["207", "400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]
            checks["negative_data_rejection"] = {"expected-statuses": refused}
        concessions.append({"include-name": name, "checks": checks})
    for name in _IF_UNCHANGED:
        checks = {"positive_data_acceptance": {"expected-statuses": [*accepted, "412"]}}
        concessions.append({"include-name": name, "checks": checks})
    return SchemathesisConfig.from_dict(
        {
            "checks": {"positive_data_acceptance": {"expected-statuses": accepted}},
            "generation": {"with-security-parameters": False},
            "operations": concessions,
        }
    )


def fuzz(
    target: Target,
    services: tuple[str, ...] = SERVICES,
    *,
    examples: int,
    seed: int,
    edges: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The report: by operation examples, answers and failures; in all the share of 2xx and of server errors.

    ``edges``: also the edges of every parameter and member, some thousand requests for an event.
    """
    started = time.monotonic()
    schemathesis.serializer("application/x-ndjson")(_line)
    tallies: dict[str, Tally] = {}
    for service in services:
        schema = schemathesis.openapi.from_dict(target.document(service), config=configuration())
        session = requests.Session()
        session.headers["x-api-key"] = target.stand.keys[service]
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # an operation that cannot be read ends the run here
            tally = tallies[operation.label] = Tally()
            for case in _edges(schema, operation) if edges else ():
                _try(target, session, case, tally)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _generate(target, session, operation.as_strategy(generation_mode=mode), examples // 2, seed, tally)
            told(f"{operation.label}: {dict(sorted(tally.statuses.items()))}, {len(tally.failures)} kinds of failure")
        session.close()
    return report_of(tallies, examples=examples, seed=seed, seconds=time.monotonic() - started)


def _line(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _edges(schema: Any, operation: Any) -> Iterator[Any]:
    """The edges of every parameter, methods that the document does not have among them."""
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    yield from schema.iter_coverage_cases(
        operation, generation_modes=modes, generation_config=schema.config.generation_for(operation=operation)
    )


def _generate(target: Target, session: requests.Session, strategy: Any, examples: int, seed: int, tally: Tally) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=strategy)
    def each(case: Any) -> None:
        _try(target, session, case, tally)

    try:
        each()
    except hypothesis.errors.Unsatisfiable:
        return  # nothing can be wrong about a request without parameters


def _try(target: Target, session: requests.Session, case: Any, tally: Tally) -> None:
    """One request, with known ids in the place of unknown ones, and all checks of its answer."""
    stand = target.stand
    case.path_parameters = {name: stand.path(name, value) for name, value in (case.path_parameters or {}).items()}
    if isinstance(case.query, dict) and "tenant_id" in case.query:
        case.query["tenant_id"] = stand.tenant(case.query["tenant_id"])
    if case.headers:
        _settle_headers(case.headers)
    if isinstance(case.body, dict | list):
        case.body = stand.body(case.body)
    if case.method == "QUERY":
        # Without a content type it must be refused as unreadable, by its own draft; with one, as a method that is not there.
        case.headers = {**(case.headers or {}), "content-type": "application/json"}
    tally.examples += 1
    transport: dict[str, Any] = {"session": session, "timeout": _TIMEOUT_SECONDS, "verify": str(target.ca)}
    try:
        answer = case.call(base_url=target.base_url, **transport)
    except requests.RequestException as error:
        tally.failed(f"no answer: {type(error).__name__}", str(error))
        return
    tally.statuses[answer.status_code] += 1
    try:
        case.validate_response(answer, transport_kwargs=transport)
    except FailureGroup as group:
        for failure in group.exceptions:
            kind = f"{type(failure).__name__} {answer.status_code}"
            tally.failed(kind, f"{failure}\n{case.as_curl_command()}\n{answer.text[:400]}")


def _settle_headers(headers: Any) -> None:
    """A key of its own for each request, since they differ, where it had a good one; and no coding that the body is not in."""
    for name in [*headers]:
        if name.lower() == "idempotency-key" and 1 <= len(str(headers[name])) <= MAX_KEY_LENGTH:
            headers[name] = uuid.uuid4().hex
        if name.lower() == "content-encoding" and headers[name] in ("gzip", "zstd"):
            headers[name] = "identity"


def report_of(tallies: dict[str, Tally], *, examples: int, seed: int, seconds: float) -> dict[str, Any]:
    """Plain values, for a file."""
    statuses = sum((tally.statuses for tally in tallies.values()), Counter[int]())
    answered = max(1, statuses.total())
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "examples_asked": examples,
        "examples": sum(tally.examples for tally in tallies.values()),
        "fewest_examples": min((tally.examples for tally in tallies.values()), default=0),
        "share_2xx": round(sum(n for code, n in statuses.items() if code < 300) / answered, 4),
        "server_errors": sum(n for code, n in statuses.items() if code >= 500),
        "operations_that_reached_2xx": sum(any(code < 300 for code in tally.statuses) for tally in tallies.values()),
        "operations_in_all": len(tallies),
        "failures": sum(len(tally.failures) for tally in tallies.values()),
        "conceded": UNSAYABLE,
        "operations": {
            label: {
                "examples": tally.examples,
                "share_2xx": round(
                    sum(n for code, n in tally.statuses.items() if code < 300) / max(1, tally.statuses.total()), 4
                ),
                "statuses": {str(code): n for code, n in sorted(tally.statuses.items())},
                "failures": tally.failures,
            }
            for label, tally in tallies.items()
        },
    }


async def target_of(mesh: Mesh) -> Target:
    """The running mesh, with a tenant made for it."""
    async with Gateway.of(mesh) as gateway:
        stand = await prepare(gateway)
        return Target(str(gateway.client.base_url).rstrip("/"), certificates.ca(mesh).certificate, stand)


def main() -> int:
    """Run it; 0 when every check held."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--examples", type=int, default=600, help="an operation, beside the edges of its parameters")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--service", action="append", choices=SERVICES)
    given = arguments.parse_args()
    state = default_state_directory(os.environ, Path.cwd())
    target = asyncio.run(target_of(Mesh.at(state, default_cache_directory(os.environ))))
    services = tuple(given.service or SERVICES)
    report = fuzz(target, services, examples=given.examples, seed=given.seed, told=lambda line: print(line, flush=True))
    path = state / "fuzz" / "api.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps({name: value for name, value in report.items() if name not in ("operations", "conceded")}))
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
