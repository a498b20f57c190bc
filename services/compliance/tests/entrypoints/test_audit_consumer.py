from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from weir_common.audit import AuditEntry, audit_record
from weir_common.errors import QuarantineError
from weir_common.kafka.records import Record
from weir_compliance.entrypoints.audit_consumer import fact_of


def as_record(value: bytes, tenant_id: str) -> Record:
    return Record("weir.compliance.audit.v1", 0, 0, 0, b"", value, {"weir-tenant": tenant_id.encode()})


def test_an_entry_becomes_a_fact_whose_detail_is_its_payload(audit_entry: Callable[..., AuditEntry]) -> None:
    entry = audit_entry(detail={"b": "2", "a": "1"})
    outgoing = audit_record(entry)
    assert outgoing.value is not None
    fact = fact_of(as_record(outgoing.value, entry.tenant_id))
    assert fact.payload == b'{"a":"1","b":"2"}'
    assert (fact.entry_id, fact.occurred_at, fact.action) == (entry.entry_id, entry.occurred_at, entry.action)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"entry_id": "not a uuid"}, "audit_entry_malformed"),
        ({"occurred_at": "yesterday"}, "audit_entry_malformed"),
        ({"actor": None}, "audit_entry_malformed"),
        ({"detail": {"ö": "x"}}, "audit_entry_malformed"),
        ({"object_ref": "x" * 70_000}, "audit_entry_unwritable"),
        ({"tenant_id": "another"}, "audit_entry_of_other_tenant"),
    ],
)
def test_what_cannot_be_an_entry_is_put_aside(
    audit_entry: Callable[..., AuditEntry], changes: dict[str, Any], reason: str
) -> None:
    entry = audit_entry()
    members = msgspec.to_builtins(entry) | changes
    record = as_record(msgspec.json.encode(members), entry.tenant_id)
    with pytest.raises(QuarantineError) as caught:
        fact_of(record)
    assert caught.value.reason == reason
    assert caught.value.record is record


def test_what_is_no_json_is_put_aside() -> None:
    with pytest.raises(QuarantineError):
        fact_of(as_record(b"\xff", "t"))
