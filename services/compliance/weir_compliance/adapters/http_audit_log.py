"""Somebody's audit log over the public API: for auditors who have a key and no database."""

import base64
from collections.abc import Sequence
from typing import Any

import httpx
from weir_common.ids import TenantId
from weir_common.pagination import encode_cursor

from weir_compliance.domain.audit_chain import Head, StoredEntry


class HttpAuditLog:
    """`EntrySource` of a deployment. Each page that is read is an entry in the log, like any reading."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]:
        query = {"tenant_id": tenant_id, "limit": str(limit), "cursor": encode_cursor([after_seq])}
        page = await self._get("/api/v2/audit/entries", query)
        return [_entry(entry) for entry in page["entries"]]

    async def head(self, tenant_id: TenantId) -> Head:
        found = await self._get("/api/v2/audit/head", {"tenant_id": tenant_id})
        return Head(found["log_id"], found["size"], bytes.fromhex(found["hash"]))

    async def _get(self, path: str, query: dict[str, str]) -> Any:
        answer = await self._client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


def _entry(entry: dict[str, Any]) -> StoredEntry:
    salt, payload = entry["salt"], entry["payload"]
    return StoredEntry(
        entry["seq"],
        entry["entry_id"],
        base64.b64decode(entry["leaf"]),
        bytes.fromhex(entry["leaf_hash"]),
        None if salt is None else bytes.fromhex(salt),
        None if payload is None else base64.b64decode(payload),
        entry["fault"],
    )
