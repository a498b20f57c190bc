"""A short run of `make fuzz-api`: every operation of the six services holds to its OpenAPI document."""

from __future__ import annotations

import asyncio

import pytest
from weir_bench.fuzz.api import SERVICES, Target, fuzz, target_of
from weir_local.mesh import Mesh

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def target(mesh: Mesh) -> Target:
    return asyncio.run(target_of(mesh))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("service", SERVICES)
def test_every_answer_is_one_that_the_document_promises(target: Target, service: str) -> None:
    report = fuzz(target, (service,), examples=24, seed=7, edges=False)
    failures = {label: operation["failures"] for label, operation in report["operations"].items()}
    assert {label: found for label, found in failures.items() if found} == {}
    assert report["server_errors"] == 0
    assert report["fewest_examples"] > 0
    assert report["share_2xx"] > 0.1
