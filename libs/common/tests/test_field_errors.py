"""What msgspec says becomes pointer, expected and got."""

from __future__ import annotations

import msgspec
import pytest
from weir_common.events import Event
from weir_common.http import field_error, pointer


@pytest.mark.parametrize(
    ("path", "expected"),
    [("$", ""), ("$.a", "/a"), ("$.a[3].b", "/a/3/b"), ("$[0]", "/0"), ("$.a[...]", "/a/*"), ("$.a/b", "/a~1b")],
)
def test_paths_become_json_pointers(path: str, expected: str) -> None:
    assert pointer(path) == expected


@pytest.mark.parametrize(
    ("body", "where", "expected"),
    [
        (b"{}", "/schema_version", "a value (required)"),
        (b'{"schema_version": "9"}', "/schema_version", "one of the documented values"),
        (b'{"schema_version": "2.1", "tenant_id": 5}', "/tenant_id", "str"),
        (
            b'{"schema_version":"2.1","tenant_id":"a","event_metadata":{"event_id":"x"}}',
            "/event_metadata/event_id",
            "a UUID",
        ),
    ],
)
def test_each_fault_is_named(body: bytes, where: str, expected: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Event)
    error = field_error(caught.value)
    assert (error.pointer, error.expected) == (where, expected)
