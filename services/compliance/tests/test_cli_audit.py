"""`weir audit` at a terminal, on a real log."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result
from weir_common.audit import AuditEntry, audit_record
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_compliance.adapters.export_key import read_export_keys
from weir_compliance.adapters.postgres_audit import PostgresAuditAppender
from weir_compliance.cli import audit
from weir_compliance.entrypoints.audit_consumer import AppendAudit
from weir_compliance.settings import Settings

pytestmark = pytest.mark.integration


def run(*arguments: str) -> Result:
    return CliRunner().invoke(audit, list(arguments))


@pytest.fixture
def environment(mesh_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command reads its settings from."""
    values = {
        "LISTEN__HTTP_PORT": "0",
        "LISTEN__GRPC_PORT": "0",
        "POSTGRES__DSN": mesh_settings.postgres.dsn.get_secret_value(),
        "POSTGRES__OWNER_DSN": mesh_settings.postgres.owner_dsn.get_secret_value(),
        "KAFKA__BOOTSTRAP_SERVERS": mesh_settings.kafka.bootstrap_servers,
        "AUTH__JWKS_PATH": str(mesh_settings.auth.jwks_path),
        "VAULT__POSTGRES__DSN": mesh_settings.vault.postgres.dsn.get_secret_value(),
        "VAULT__POSTGRES__OWNER_DSN": mesh_settings.vault.postgres.owner_dsn.get_secret_value(),
        "VAULT__ROOT_KEY_PATH": str(mesh_settings.vault.root_key_path),
        "TEMPORAL__TARGET": mesh_settings.temporal.target,
        "PEERS__INGEST": "127.0.0.1:1",
        "EXPORTS__DIR": str(mesh_settings.exports.dir),
        "EXPORTS__KEY_PATH": str(mesh_settings.exports.key_path),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"WEIR_COMPLIANCE_{name}", value)


@pytest.fixture
async def written(
    environment: None, pool: asyncpg.Pool, mesh_settings: Settings, audit_entry: Callable[..., AuditEntry]
) -> Sequence[AuditEntry]:
    """Five entries under the mesh's own key."""
    entries = [audit_entry(f"test.{number}", detail={"number": str(number)}) for number in range(5)]
    outgoing = [audit_record(entry) for entry in entries]
    records = [Record(one.topic, 0, 0, 0, one.key, one.value or b"", one.headers) for one in outgoing]
    appender = PostgresAuditAppender(read_export_keys(mesh_settings.exports.key_path))
    async with pool.acquire() as connection, connection.transaction():
        await AppendAudit(appender, lambda: datetime.now(UTC)).apply(records, Transaction(connection))
    return entries


async def test_an_intact_log(written: Sequence[AuditEntry], tenant_id: TenantId) -> None:
    # The command has a loop of its own.
    verified = await asyncio.to_thread(run, "verify", "--tenant", tenant_id)
    assert verified.exit_code == 0, verified.output
    assert f"weir.audit/{tenant_id}" in verified.output
    document = json.loads((await asyncio.to_thread(run, "verify", "--tenant", tenant_id, "--json")).stdout)
    assert document["intact"] is True
    (log,) = document["logs"]
    assert (log["entries"], log["breaks"]) == (5, [])
    kept = await asyncio.to_thread(run, "verify", "--tenant", tenant_id, "--expect", log["head"])
    assert kept.exit_code == 0
    forged = await asyncio.to_thread(run, "verify", "--tenant", tenant_id, "--expect", f"5:{'ab' * 32}")
    assert forged.exit_code == 1
    assert "expected_head" in forged.output


async def test_a_broken_log_says_where(
    written: Sequence[AuditEntry], tenant_id: TenantId, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        await owner.execute("SELECT set_config('weir.tenant_id', $1, true)", tenant_id)
        await owner.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        await owner.execute(
            "UPDATE audit_entry SET leaf = set_bit(leaf, 100, 1 - get_bit(leaf, 100)) WHERE tenant_id = $1 AND seq = 2",
            tenant_id,
        )
        await owner.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    told = await asyncio.to_thread(run, "verify", "--tenant", tenant_id)
    assert told.exit_code == 1
    assert f"entry 2 {written[2].entry_id} leaf_hash" in told.output
    everything = json.loads((await asyncio.to_thread(run, "verify", "--json")).stdout)
    assert everything["intact"] is False
    (log,) = [log for log in everything["logs"] if log["log_id"] == f"weir.audit/{tenant_id}"]
    first: dict[str, Any] = log["breaks"][0]
    assert (first["seq"], first["entry_id"], first["kind"]) == (2, written[2].entry_id, "leaf_hash")
    assert first["expected"] != first["got"]


async def test_the_newest_entries(written: Sequence[AuditEntry], tenant_id: TenantId) -> None:
    listed = await asyncio.to_thread(run, "list", "--tenant", tenant_id, "--last", "2", "--json")
    assert [row["entry"]["action"] for row in json.loads(listed.stdout)] == ["test.3", "test.4"]
    assert "test.4" in (await asyncio.to_thread(run, "list", "--tenant", tenant_id)).output
    nothing = await asyncio.to_thread(run, "list", "--tenant", "nobody-knows")
    assert "no entries yet" in nothing.output


@pytest.mark.parametrize(
    "arguments",
    [["--expect", "5:ab"], ["--tenant", "t", "--expect", "5"], ["--tenant", "t", "--expect", "x:" + "ab" * 32]],
)
async def test_a_head_that_is_none(environment: None, arguments: list[str]) -> None:
    assert (await asyncio.to_thread(run, "verify", *arguments)).exit_code == 2


async def test_a_log_that_cannot_be_read_is_not_called_intact(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_COMPLIANCE_POSTGRES__DSN", "postgresql://nobody:x@127.0.0.1:1/none")
    told = await asyncio.to_thread(run, "verify")
    assert told.exit_code == 2
    assert "cannot be read" in told.output


async def test_over_the_api_a_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_API_KEY", raising=False)
    assert (await asyncio.to_thread(run, "verify", "--url", "http://127.0.0.1:1")).exit_code == 2
    monkeypatch.setenv("WEIR_API_KEY", "x")
    assert (await asyncio.to_thread(run, "verify", "--url", "http://127.0.0.1:1")).exit_code == 2
