"""OpenAPI parts made from the msgspec types that the endpoints decode and answer with: one definition, no second
model.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI

_REFERENCE = "#/components/schemas/{name}"


def json_of(type_: type) -> dict[str, Any]:
    """The `content` of a request body or a response."""
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(name=type_.__name__)}}}


def document_types(app: FastAPI, types: Sequence[type]) -> None:
    """Add the schemas of `types` to the application's OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        document.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
