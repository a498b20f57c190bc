"""The stores that are files, each with a value that only decoding shows."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.ports import UnreadableError
from weir_compliance.hunt.search import StoreReport, note
from weir_compliance.hunt.stores.folder import Folder
from weir_compliance.hunt.stores.kafka_segments import KafkaSegments
from weir_compliance.hunt.stores.lake import Lake
from weir_compliance.hunt.stores.postgres_files import _across_pages, _group
from weir_compliance.hunt.stores.sqlite import SqliteStore

VALUE = "ada.q7w8e9@example.com"
HIDDEN = "".join(VALUE[:length] for length in range(len(VALUE) + 1))
MATCHER = Matcher([Planted("mail", VALUE)])


async def groups(store: Any) -> set[str]:
    """The groups in which the value is found."""
    report = StoreReport("store")
    pieces: AsyncIterator[Any] = store.pieces(MATCHER.longest)
    async for piece in pieces:
        note(report, piece, MATCHER)
    return set(report.sightings)


def parquet(path: Path, rows: int = 2_000) -> None:
    payload = [f'{{"n":{number},"filler":"{"x" * 200}"}}' for number in range(rows)]
    # After its own beginnings: the compressor writes it as references, so that a raw search does not see it.
    payload[rows // 2] = f'{{"n":{rows // 2},"{HIDDEN}":"{"x" * 200}"}}'
    nested = [[{"k": "v"}]] * (rows - 1) + [[{"k": HIDDEN}]]
    table = pa.table({"payload": payload, "nested": nested})
    pq.write_table(table, path, compression="zstd", write_statistics=False, use_dictionary=False)


async def test_parquet_values_are_decoded(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    assert VALUE.encode() not in (tmp_path / "a.parquet").read_bytes()
    assert await groups(Lake(tmp_path)) == {"parquet column payload", "parquet column nested k"}


async def test_statistics_of_parquet_and_bounds_in_avro_are_looked_through(tmp_path: Path) -> None:
    table = pa.table({"subject": [VALUE, "zzz"]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    schema = {
        "type": "record",
        "name": "entry",
        "fields": [
            {
                "name": "lower_bounds",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "kv",
                        "fields": [{"name": "key", "type": "int"}, {"name": "value", "type": "bytes"}],
                    },
                },
            }
        ],
    }
    with (tmp_path / "m.avro").open("wb") as file:
        bounds = [{"key": number, "value": VALUE.encode() if number == 50 else b"x" * 30} for number in range(100)]
        fastavro.writer(file, fastavro.parse_schema(schema), [{"lower_bounds": bounds}], codec="deflate")
    assert VALUE.encode() not in (tmp_path / "m.avro").read_bytes()
    found = await groups(Lake(tmp_path))
    assert {"parquet statistics subject", "avro lower_bounds value"} <= found


async def test_a_parquet_file_whose_writer_died_is_carved(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) - 50])
    assert await groups(Lake(tmp_path)) == {"parquet without footer"}


@pytest.mark.parametrize("codec", [0, 1, 3, 4])
async def test_batches_of_a_kafka_segment_are_decompressed(tmp_path: Path, codec: int) -> None:
    folder = tmp_path / "weir.events-0"
    folder.mkdir()
    with (folder / "00000000000000000000.log").open("wb") as segment:
        for base in (0, 40):
            builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
            for number in range(40):
                value = VALUE.encode() if (base, number) == (40, 20) else b"z" * 100
                builder.append(number, None, b"key", value, [])
            built = bytearray(builder.build())
            built[:8] = base.to_bytes(8, "big")
            segment.write(built)
        segment.write(bytes(4_096))  # preallocated
    found = await groups(KafkaSegments(tmp_path))
    assert "weir.events-0/00000000000000000000.log decoded" in found


async def test_a_segment_that_is_none_is_not_clean(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_bytes(b"\xff" * 8 + b"\x7f" * 500)
    with pytest.raises(UnreadableError, match="this is no segment"):
        await groups(KafkaSegments(tmp_path))


async def test_a_sqlite_store_is_read_by_row_and_as_a_file(tmp_path: Path) -> None:
    database = tmp_path / "db" / "a.db"
    database.parent.mkdir()
    connection = sqlite3.connect(database)
    connection.executescript('CREATE TABLE "odd ""name" (id INTEGER, data BLOB); CREATE TABLE other (t TEXT)')
    connection.execute('INSERT INTO "odd ""name" VALUES (1, ?)', (VALUE.encode(),))
    connection.execute("INSERT INTO other VALUES (?)", (f"plain {VALUE}",))
    connection.commit()
    connection.execute("DELETE FROM other")
    connection.commit()
    connection.close()
    assert await groups(SqliteStore("store", database)) == {'odd "name.data', "file a.db"}
    with pytest.raises(UnreadableError, match="does not exist"):
        await groups(SqliteStore("store", tmp_path / "none.db"))


async def test_the_name_of_a_file_counts_and_stores_of_their_own_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "a").write_text(VALUE)
    (tmp_path / VALUE).write_text("nothing")
    assert await groups(Folder("other", tmp_path, without=frozenset({"kafka"}))) == {"other names"}


def test_a_value_in_the_log_that_goes_on_after_a_page_header_is_found(tmp_path: Path) -> None:
    raw = VALUE.encode()
    first = bytes(2) + (0x0002).to_bytes(2, "little") + bytes(36)
    page = first + b"." * (8192 - 40 - 10) + raw[:10]
    following = bytes(24) + raw[10:] + b"." * 5_000
    segment = tmp_path / "000000010000000000000001"
    segment.write_bytes(page + following)
    assert not MATCHER.matches(segment.read_bytes())
    (piece,) = _across_pages(segment)
    assert {match.planted.label for match in MATCHER.matches(piece.data)} == {"mail"}


def test_a_relation_file_is_named_by_its_relation() -> None:
    names = {"base/16384/16399": "fraud.decision"}
    for path in ("base/16384/16399", "base/16384/16399.1", "base/16384/16399_vm", "base/16384/16399_fsm.1"):
        assert _group(path, names) == "fraud.decision"
    assert _group("pg_xact/0000", names) == "pg_xact"
