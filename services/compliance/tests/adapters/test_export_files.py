import asyncio
import hashlib
import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from weir_compliance.adapters.age_files import new_identity, opened_file
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.domain.manifest import StoreReceipt
from weir_compliance.errors import PartDamagedError
from weir_compliance.ports import PackOrder

REQUEST = UUID("018f0000-0000-7000-8000-000000000001")


async def deliver(files: ExportFiles, store: str, recipient: str, lines: list[bytes]) -> StoreReceipt:
    async with files.part_writer(REQUEST, store, recipient) as part:
        for line in lines:
            await part.write(line)
        await part.flush()
        size, digest = part.plain_bytes, part.plain_sha256.hex()
    return StoreReceipt(store, len(lines), {"thing": len(lines)}, size, digest, "", ())


def order(staging: str, recipient: str, *receipts: StoreReceipt) -> PackOrder:
    return PackOrder(REQUEST, staging, recipient, receipts, {"planted": "manifest"}, datetime(2026, 1, 1, tzinfo=UTC))


async def test_parts_become_one_archive(tmp_path: Path) -> None:
    files = ExportFiles(tmp_path)
    staging, staging_recipient = new_identity()
    identity, recipient = new_identity()
    big = [b'{"n":%d}\n' % number for number in range(100_000)]
    receipts = [
        await deliver(files, "fraud", staging_recipient, big),
        await deliver(files, "ingest", staging_recipient, []),
    ]
    packed = await files.pack(order(staging, recipient, *receipts))
    data = files.archive(REQUEST).read_bytes()
    assert packed.size_bytes == len(data)
    assert packed.sha256 == hashlib.sha256(data).digest()
    with opened_file(files.archive(REQUEST), identity) as opened:
        plain = opened.read()
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert list(content) == ["README.txt", "manifest.json", "data/fraud.jsonl", "data/ingest.jsonl"]
    assert content["data/fraud.jsonl"] == b"".join(big)
    assert content["data/ingest.jsonl"] == b""
    assert json.loads(content["manifest.json"]) == {"planted": "manifest"}


@pytest.mark.parametrize("damage", ["gone", "bit", "other_content", "longer", "shorter"])
async def test_a_part_that_is_not_what_was_receipted_is_not_packed(tmp_path: Path, damage: str) -> None:
    files = ExportFiles(tmp_path)
    staging, staging_recipient = new_identity()
    _, recipient = new_identity()
    receipt = await deliver(files, "fraud", staging_recipient, [b"one\n", b"two\n"])
    part = tmp_path / str(REQUEST) / "parts" / "fraud.jsonl.age"
    if damage == "gone":
        part.unlink()
    elif damage == "bit":
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(data)
    else:
        lines = {
            "other_content": [b"one\n", b"tow\n"],
            "longer": [b"one\n", b"two\n", b"three\n"],
            "shorter": [b"one\n"],
        }
        await deliver(files, "fraud", staging_recipient, lines[damage])
    with pytest.raises(PartDamagedError) as caught:
        await files.pack(order(staging, recipient, receipt))
    assert caught.value.store == "fraud"
    assert not files.archive(REQUEST).exists()


async def test_a_cancelled_delivery_leaves_no_part(tmp_path: Path) -> None:
    files = ExportFiles(tmp_path)
    started = asyncio.Event()

    async def endless() -> None:
        async with files.part_writer(REQUEST, "fraud", new_identity()[1]) as part:
            while True:
                await part.write(bytes(10_000))
                started.set()
                await asyncio.sleep(0)

    task = asyncio.create_task(endless())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not files.has_part(REQUEST, "fraud")
    assert list((tmp_path / str(REQUEST) / "parts").iterdir()) == []


async def test_a_cancelled_packing_leaves_no_archive(tmp_path: Path) -> None:
    files = ExportFiles(tmp_path)
    staging, staging_recipient = new_identity()
    receipt = await deliver(files, "fraud", staging_recipient, [bytes(1 << 20)] * 64)
    task = asyncio.create_task(files.pack(order(staging, new_identity()[1], receipt)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not files.archive(REQUEST).exists()


async def test_removing_is_repeatable(tmp_path: Path) -> None:
    files = ExportFiles(tmp_path)
    await deliver(files, "fraud", new_identity()[1], [b"x"])
    for _ in range(2):
        files.remove_parts(REQUEST)
    assert not files.has_part(REQUEST, "fraud")
    for _ in range(2):
        files.remove_all(REQUEST)
    assert list(tmp_path.iterdir()) == []
