"""The API's pages for people: Swagger UI from a package, so that they work where no content network is reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
"""File of the package → media type."""
SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A machine's key, `weir_live_…`"},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "From `POST /api/v2/auth/token`",
    },
}


def add_api_docs(app: FastAPI, service: str) -> None:
    """Serve ``/docs/<service>`` and its two assets. Addresses are relative to the host: behind the gateway that is its own."""
    _complete_the_document(app)
    base = f"/docs/{service}"
    page = get_swagger_ui_html(
        openapi_url=f"/openapi/{service}.json",
        title=app.title,
        swagger_js_url=f"{base}/swagger-ui-bundle.js",
        swagger_css_url=f"{base}/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"displayRequestDuration": True, "defaultModelsExpandDepth": 0, "docExpansion": "list"},
    )

    @app.get(base, include_in_schema=False)
    async def docs() -> Response:
        return page

    for name, media_type in ASSETS.items():
        app.add_api_route(f"{base}/{name}", _asset(name, media_type), include_in_schema=False)


def add_schemas(app: FastAPI, schemas: Mapping[str, Any]) -> None:
    """Add schemas, by name, to the application's OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete_the_document(app: FastAPI) -> None:
    """How to authenticate, from which the page makes its "Authorize" button; and parameters as they can be sent.

    An optional parameter is "a string or null" to FastAPI, but a query has no null: who leaves it out leaves it out.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
        document["security"] = [{name: []} for name in SECURITY_SCHEMES]
        for operations in document.get("paths", {}).values():
            for operation in operations.values():
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _without_null(parameter["schema"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{name: value for name, value in schema.items() if name != "anyOf"}}


def _asset(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = resources.files("fastapi_swagger").joinpath("resources", name)

    async def asset() -> Response:
        return Response(content.read_bytes(), media_type=media_type, headers={"Cache-Control": "public, max-age=86400"})

    return asset
