"""The manifest says what Art. 15 asks for, in the shape that its schema promises, and nothing of the person."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import jsonschema
import pytest
from weir_compliance.domain.audit_chain import Head
from weir_compliance.domain.manifest import RequestHeading, StoreReceipt, build_manifest
from weir_compliance.domain.processing import NOTICES

STORES = ("tenant-admin", "ingest", "fraud", "anomaly", "analytics", "compliance")
MOMENT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HEADING = RequestHeading("018f0000-0000-7000-8000-000000000001", "shop-1", "access", "gdpr", MOMENT, MOMENT)


@pytest.fixture
def schema() -> Any:
    text = resources.files("weir_compliance").joinpath("schemas/subject-export-1.schema.json").read_text()
    document = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(document)
    return document


@pytest.fixture
def manifest(a_receipt: Callable[..., StoreReceipt]) -> dict[str, Any]:
    receipts = [a_receipt(store, number) for number, store in enumerate(STORES)]
    built = build_manifest(HEADING, receipts, MOMENT, Head("weir.audit/shop-1", 3, b"h" * 32))
    parsed: dict[str, Any] = json.loads(json.dumps(built))
    return parsed


def test_it_has_the_shape_that_its_schema_promises(manifest: dict[str, Any], schema: Any) -> None:
    jsonschema.validate(manifest, schema)
    assert manifest["records"] == sum(range(6))
    assert [service["service"] for service in manifest["services"]] == sorted(STORES)


@pytest.mark.parametrize(
    "member",
    [
        ("confirmation",),
        ("services", 0, "processing", 0, "purpose"),
        ("services", 0, "records_by_category"),
        ("services", 0, "processing", 0, "retention"),
        ("information", "services", 0, "recipients"),
        ("information", "services", 0, "source"),
        ("information", "rights"),
        ("information", "complaint"),
        ("information", "transfers"),
    ],
    ids=lambda member: "/".join(map(str, member)),
)
def test_no_member_that_art_15_asks_for_may_be_left_out(
    manifest: dict[str, Any], schema: Any, member: tuple[str | int, ...]
) -> None:
    incomplete: Any = copy.deepcopy(manifest)
    parent = incomplete
    for step in member[:-1]:
        parent = parent[step]
    del parent[member[-1]]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(incomplete, schema)


def test_every_service_has_its_notice_and_fraud_explains_its_decisions() -> None:
    assert {notice.service for notice in NOTICES} == set(STORES)
    (fraud,) = [notice for notice in NOTICES if notice.service == "fraud"]
    assert fraud.automated_decision is not None
    assert "human review" in fraud.automated_decision


def test_nothing_held_is_said(a_receipt: Callable[..., StoreReceipt]) -> None:
    manifest = build_manifest(HEADING, [a_receipt("fraud", 0)], MOMENT, None)
    assert (manifest["confirmation"], manifest["audit_head"]) == ("nothing held", None)
