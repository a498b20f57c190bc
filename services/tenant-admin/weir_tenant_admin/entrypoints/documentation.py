"""OpenAPI parts made from the msgspec types that the endpoints decode and answer with: one definition, no second model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI

_REFERENCE = "#/components/schemas/{name}"


def takes(body: type) -> dict[str, Any]:
    """For ``openapi_extra``: the JSON body of an endpoint."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(name=body.__name__)}}},
        }
    }


def answers(status: int, body: type, description: str) -> dict[int | str, dict[str, Any]]:
    """For ``responses``: what the endpoint answers when all is well."""
    return {
        status: {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(name=body.__name__)}}},
        }
    }


def document_types(app: FastAPI, types: Sequence[type]) -> None:
    """Add the schemas of ``types`` to the application's OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        document.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
