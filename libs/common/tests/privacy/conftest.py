"""A vault in memory, the same on the mesh's servers, a clock that tests move, and events of every version with planted identifiers."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import strategies as st
from msgspec import inspect
from pydantic import SecretStr
from weir_common.events import version_2_0
from weir_common.events.event import Event
from weir_common.ids import TenantId
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_common.privacy.memory_records import MemoryKeks, MemoryRecords
from weir_common.privacy.ports import KekRecords, VaultRecords
from weir_common.privacy.postgres_records import PACKAGE, SCHEMA, PostgresKeks, PostgresRecords
from weir_common.privacy.root_key import RootKey
from weir_common.privacy.rotate import RotateTenantKeys
from weir_common.privacy.tenant_keys import TenantKeys
from weir_common.privacy.vault import Vault, VaultLimits
from weir_common.settings import PostgresSettings

Document = dict[str, Any]
LIMITS = VaultLimits(subjects=100)


class FakeClock:
    """Both clocks of the vault: what day it is, and how much time has passed."""

    def __init__(self) -> None:
        self._now = datetime(2026, 12, 10, 10, 30, tzinfo=UTC)  # a week into a period of tokens

    def __call__(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def advance(self, **parts: float) -> None:
        self._now += timedelta(**parts)


@dataclass
class Stores:
    """What instances of one vault share."""

    root: RootKey
    keks: KekRecords
    records: VaultRecords


class Instance:
    """One process's view of the vault."""

    def __init__(self, stores: Stores, clock: FakeClock) -> None:
        self.stores = stores
        self.keys = TenantKeys(stores.root, stores.keks, stores.records, clock=clock)
        self.vault = Vault(stores.records, self.keys, LIMITS, monotonic=clock.monotonic)
        self.rotate = RotateTenantKeys(self.keys, stores.keks, stores.records, clock=clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant_id() -> TenantId:
    return TenantId(f"shop-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def memory() -> Stores:
    return Stores(RootKey(os.urandom(32)), MemoryKeks(), MemoryRecords())


@pytest.fixture(params=["memory", pytest.param("servers", marks=pytest.mark.integration)])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Each implementation of the records."""
    if request.param == "memory":
        return request.getfixturevalue("memory")
    return request.getfixturevalue("servers")


@pytest.fixture
def instance(stores: Stores, clock: FakeClock) -> Callable[[], Instance]:
    return lambda: Instance(stores, clock)


@pytest.fixture
def one(instance: Callable[[], Instance]) -> Instance:
    return instance()


# ── the running mesh ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresSettings]:
    """The vault's roles on a database of its own. Without a mesh this fails and says what to start."""
    from weir_local.cli import this_mesh
    from weir_local.components.postgres import SUPERUSER

    mesh = this_mesh()
    host = f"127.0.0.1:{mesh.port('postgres')}"
    superuser = f"postgresql://{SUPERUSER}:{mesh.secret('postgres-superuser')}@{host}"
    database = f"weir_test_vault_{uuid.uuid4().hex[:12]}"

    def dsn(role: str) -> SecretStr:
        return SecretStr(f"postgresql://{role}:{mesh.secret(f'postgres-{role}')}@{host}/{database}")

    asyncio.run(_execute(f"{superuser}/postgres", f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'"))
    try:
        asyncio.run(
            _execute(
                f"{superuser}/{database}",
                "CREATE SCHEMA vault AUTHORIZATION weir_vault_owner",
                "GRANT USAGE ON SCHEMA vault TO weir_vault",
                "ALTER DEFAULT PRIVILEGES FOR ROLE weir_vault_owner IN SCHEMA vault "
                "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO weir_vault",
                "ALTER DEFAULT PRIVILEGES FOR ROLE weir_vault_owner IN SCHEMA vault GRANT EXECUTE ON FUNCTIONS TO weir_vault",
            )
        )
        yield PostgresSettings(dsn=dsn("weir_vault"), owner_dsn=dsn("weir_vault_owner"))
    finally:
        asyncio.run(_execute(f"{superuser}/postgres", f"DROP DATABASE {database} WITH (FORCE)"))


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


@pytest.fixture
async def pool(postgres: PostgresSettings) -> AsyncIterator[asyncpg.Pool]:
    """The application role, schema up to date."""
    await migrate(postgres.owner_dsn.get_secret_value(), SCHEMA, PACKAGE, consumes=False)
    async with postgres_pool(postgres, "vault-test") as opened:
        yield opened


@pytest.fixture
async def servers(pool: asyncpg.Pool) -> Stores:
    return Stores(RootKey(os.urandom(32)), PostgresKeks(pool), PostgresRecords(pool))


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_TEXTS = {
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)": st.just("merchant_1"),
    r"^[a-z][a-z0-9_]{0,63}$(?!\n)": st.sampled_from(["purchase", "page_view"]),
    r"^[A-Z]{2}$(?!\n)": st.sampled_from(["DE", "US"]),
    r"^[A-Z]{3}$(?!\n)": st.sampled_from(["EUR", "JPY"]),
    r"^[0-9]{4}$(?!\n)": st.sampled_from(["5411", "0000"]),
}
_PLANTED = st.uuids().map(lambda value: f"secret-{value.hex}") | st.tuples(st.uuids(), st.text(max_size=5)).map(
    lambda pair: f"secret-{pair[0].hex}{pair[1]}"
)
_PERSONAL = st.sampled_from(["ann.lee@example.org", "+49 30 901820", "192.168.7.23", "2001:db8::8a2e:370:7334"])
_HIDDEN = ("subject", "token", "sealed")


def _values(kind: Any, handling: str) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            policy = (extra or {}).get("privacy")
            return _values(inner, policy.handling if policy is not None else handling)
        case inspect.UnionType(types=kinds):
            return st.one_of([_values(one, handling) for one in kinds])
        case inspect.NoneType():
            return st.none()
        case inspect.StructType(fields=fields):
            members = [field for field in fields if field.name not in ("unknown_fields", "sealed")]
            return st.fixed_dictionaries(
                {field.encode_name: _values(field.type, "open") for field in members if field.required},
                optional={field.encode_name: _values(field.type, "open") for field in members if not field.required},
            )
        case inspect.ListType(item_type=item):
            return st.lists(_values(item, handling), max_size=2)
        case inspect.LiteralType(values=choices):
            return st.sampled_from(choices)
        case inspect.StrType(pattern=pattern):
            if pattern:
                return _TEXTS[pattern]
            if handling in _HIDDEN:
                return _PLANTED
            plain = st.text(max_size=12)
            return st.tuples(plain, _PERSONAL).map(" ".join) | plain if handling == "scanned" else plain
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.FloatType(ge=least, le=most):
            return st.floats(least, most, allow_nan=False, allow_infinity=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.DecimalType():
            return st.decimals(-(10**9), 10**9, places=4).map(str)
        case inspect.DateTimeType():
            return st.just("2026-11-25T10:30:00.500000Z")
        case inspect.UUIDType():
            return st.uuids().map(str)
        case _:
            raise AssertionError(f"no values for {kind}")


def _with_unknown(document: Document, unknown: dict[str, str]) -> Document:
    return unknown | document


def _with_marks_of_2_0(document: Document, oldest: Document) -> Document:
    """2.0's structs name no policies, so the identifiers of a newer event are put where both have a place."""
    old, new = oldest["event_data"].get("user_context"), document["event_data"].get("user_context")
    if old and new:
        old |= {name: new[name] for name in ("user_id", "anonymous_id") if new.get(name)}
    return oldest


@pytest.fixture(scope="session")
def documents() -> st.SearchStrategy[Document]:
    """Events of 2.0, 2.1 and 2.2; where a field is hidden stands ``secret-`` and 32 digits."""
    newest = _values(inspect.type_info(Event), "open")
    oldest = _values(inspect.type_info(version_2_0.Event), "open")
    unknown = st.dictionaries(st.sampled_from(["loyalty", "e~mail/2"]), _PLANTED, max_size=2)
    either = newest | st.tuples(newest, oldest).map(lambda pair: _with_marks_of_2_0(*pair))
    return st.tuples(either, unknown).map(lambda pair: _with_unknown(*pair))


@pytest.fixture
def sample() -> bytes:
    """The event of the guide, as the benches send it."""
    return (Path(__file__).parents[4] / "bench/weir_bench/event.json").read_bytes()
