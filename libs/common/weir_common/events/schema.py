"""The JSON Schema of each version, made from the structs that read it."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from weir_common.events.versions import SCHEMA_VERSION, STRUCT_OF, is_newer

_COMPONENTS: Final = "#/components/schemas/"
EVENT_REFERENCE: Final = _COMPONENTS + "Event"
_DECIMAL = {"type": "string", "format": "decimal"}
_AMOUNT = {"type": ["number", "string"], "format": "decimal", "exclusiveMinimum": -1e18, "exclusiveMaximum": 1e18}


def event_json_schema(version: str = SCHEMA_VERSION) -> dict[str, Any]:
    """JSON Schema 2020-12 of one of SCHEMA_VERSIONS, with every part under ``$defs``. Unknown fields are allowed.

    The newest names each leaf's policy as ``x-weir-privacy``. `KeyError` if there is no such version.
    """
    schema = msgspec.json.schema(STRUCT_OF[version])
    parts = schema["$defs"]
    for part in parts.values():
        _publish(part, version)
    parts["Event"]["properties"]["schema_version"] |= {"enum": [version]}
    parts["Event"]["description"] = f"One event of schema {version}."
    used = _reached(schema["$ref"], parts)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://weir.example/schemas/event/{version}",
        "title": "Weir commerce event",
        **schema,
        "$defs": {name: part for name, part in parts.items() if name in used},
    }


def event_components() -> dict[str, Any]:
    """The newest for an OpenAPI document: schemas by name, of which `EVENT_REFERENCE` is the event."""
    schema = event_json_schema()
    parts = json.dumps(schema["$defs"]).replace("#/$defs/", _COMPONENTS)
    components: dict[str, Any] = json.loads(parts)
    components["Event"]["description"] += (
        " Those of older schemas are taken, too: `GET /api/v2/schemas/event/{version}`."
    )
    return components


def _publish(part: dict[str, Any], version: str) -> None:
    """Leave of one part what the version has, as its senders see it."""
    part.pop("additionalProperties")
    if part.get("description", "").startswith("A part of the event."):
        del part["description"]  # inherited, and ours to know
    members = part["properties"]
    for name, member in list(members.items()):
        since = member.pop("x-weir-since", None)
        if member.get("x-weir-log-only") or (since is not None and is_newer(since, version)):
            del members[name]
            continue
        if version != SCHEMA_VERSION:
            member.pop("x-weir-privacy", None)
        members[name] = _with_amounts(member)


def _with_amounts(schema: Any) -> Any:
    """msgspec calls a decimal a string; it also reads, and we write, a number."""
    if isinstance(schema, list):
        return [_with_amounts(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.items() >= _DECIMAL.items():
        schema = {**schema, **_AMOUNT}
    return {key: _with_amounts(value) for key, value in schema.items()}


def _reached(start: str, parts: dict[str, Any]) -> set[str]:
    """Names of the parts that can be reached from a reference."""
    found: set[str] = set()
    waiting: list[Any] = [{"$ref": start}]
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, dict):
            name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
            if name in parts and name not in found:
                found.add(name)
                waiting.append(parts[name])
            waiting.extend(schema.values())
        elif isinstance(schema, list):
            waiting.extend(schema)
    return found
