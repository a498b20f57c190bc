"""The pages for people work without any other host, and the document says how to authenticate."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI
from weir_common.api_docs import add_api_docs


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI(title="Weir test", docs_url=None, openapi_url="/openapi/test.json")
    add_api_docs(app, "test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://docs")


async def test_the_page_asks_no_other_host(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs/test")).text
    assert "http" not in page.replace("http-equiv", "")
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) > 10_000


async def test_the_document_names_key_and_token(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi/test.json")).json()
    assert document["security"] == [{"apiKey": []}, {"token": []}]
    assert document["components"]["securitySchemes"]["apiKey"]["name"] == "x-api-key"
