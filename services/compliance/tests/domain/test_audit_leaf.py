import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from weir_compliance.domain.audit_leaf import (
    GENESIS,
    AuditFact,
    UnwritableEntryError,
    commitment,
    format_time,
    read_leaf,
    write_leaf,
)
from weir_compliance.domain.canonical_json import canonical_json


def a_fact(**changes: object) -> AuditFact:
    members: dict[str, object] = {
        "entry_id": "e-1",
        "tenant_id": "shop-1",
        "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
        "actor": "key-1",
        "actor_kind": "machine",
        "action": "export.request",
        "object_ref": "r-1",
        "outcome": "success",
        "service": "compliance",
        "trace_id": "",
        "payload": b"{}",
    } | changes
    return AuditFact(**members)  # type: ignore[arg-type]


def test_the_leaf_is_hashed_as_rfc_6962_says_and_commits_to_the_payload() -> None:
    leaf = write_leaf(a_fact(), log_id="log", seq=7, previous=GENESIS, salt=b"s" * 32)
    assert leaf.hash == hashlib.sha256(b"\x00" + leaf.data).digest()
    members = read_leaf(leaf.data)
    assert members["commit"] == hashlib.sha256(b"s" * 32 + b"{}").hexdigest()
    assert members["seq"] == 7
    assert members["prev"] == "00" * 32


def test_the_leaf_does_not_hold_the_payload() -> None:
    leaf = write_leaf(a_fact(payload=b'{"note":"planted"}'), log_id="log", seq=0, previous=GENESIS, salt=b"s" * 32)
    assert b"planted" not in leaf.data


@pytest.mark.parametrize("changes", [{"actor": "\ud800"}, {"object_ref": "x" * 70_000}])
def test_what_has_no_leaf_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UnwritableEntryError):
        write_leaf(a_fact(**changes), log_id="log", seq=0, previous=GENESIS, salt=b"s" * 32)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", b"")


def test_one_moment_has_one_spelling() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5)))
    assert format_time(moment) == format_time(elsewhere) == "2026-01-01T12:00:00.000000Z"


def test_canonical_json_is_that_of_rfc_8785_for_what_it_takes() -> None:
    # The string example of RFC 8785 §3.2.2.2, without its number members.
    value = {"string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/", "literals": [None, True, False], "1": 1, "": ""}
    assert canonical_json(value).decode() == (
        '{"":"","1":1,"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize("value", [1.5, {"a": object()}, {1: "a"}, {"é": 1}, [b"x"], "\udcff"])
def test_canonical_json_refuses_what_it_cannot_spell_one_way(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize("data", [b"[]", b'{"b":1,"a":2}', b'{"a":1} ', b"{", b'{"a":1.5}'])
def test_a_leaf_is_a_canonical_object(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_leaf(data)
