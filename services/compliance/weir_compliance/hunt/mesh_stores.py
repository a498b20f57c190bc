"""Every store of a native mesh, each with where it is. Another deployment lists its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from temporalio.converter import PayloadCodec

from weir_compliance.hunt.ports import Store
from weir_compliance.hunt.stores.folder import Folder
from weir_compliance.hunt.stores.kafka_log import KafkaLog
from weir_compliance.hunt.stores.kafka_segments import KafkaSegments
from weir_compliance.hunt.stores.lake import Lake
from weir_compliance.hunt.stores.postgres_files import PostgresFiles
from weir_compliance.hunt.stores.postgres_rows import PostgresRows
from weir_compliance.hunt.stores.sqlite import SqliteStore
from weir_compliance.hunt.stores.temporal_history import TemporalHistory
from weir_compliance.hunt.stores.valkey_files import ValkeyFiles
from weir_compliance.hunt.stores.valkey_keys import ValkeyKeys

_OWN_STORES: Final = frozenset({"kafka", "lake", "postgres", "valkey", "temporal", "traces", "logs", "exports"})


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses and folders; the credentials see everything. ``state`` is the folder that holds all others."""

    state: Path
    kafka: str
    kafka_data: Path
    lake: Path
    postgres_dsn: str
    postgres_data: Path
    waldump: Path
    valkey_url: str
    valkey_data: Path
    temporal: str
    temporal_database: Path
    traces_database: Path
    logs: Path
    exports: Path


def stores_of(places: Places, codec: PayloadCodec) -> Sequence[Store]:
    """In the order in which an event passes them."""
    return (
        KafkaLog(places.kafka),
        KafkaSegments(places.kafka_data),
        Lake(places.lake),
        PostgresRows(places.postgres_dsn),
        PostgresFiles(places.postgres_dsn, places.postgres_data, places.waldump),
        ValkeyKeys(places.valkey_url),
        ValkeyFiles(places.valkey_url, places.valkey_data),
        TemporalHistory(places.temporal, codec),
        SqliteStore("temporal store", places.temporal_database),
        SqliteStore("traces", places.traces_database),
        Folder("logs", places.logs),
        Folder("exports", places.exports),
        Folder("other files", places.state, without=_OWN_STORES),
    )
