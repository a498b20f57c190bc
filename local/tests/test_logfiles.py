"""Reading logs while they are written, cut and put aside."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from weir_local import logfiles
from weir_local.logfiles import follow, rotate, tail


def test_tail(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert tail(log) == []
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert tail(log, 2) == ["line 98", "line 99"]
    log.write_bytes(b"\xff broken \xc3\n")
    assert tail(log, 1) == ["� broken �"]


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "ROTATE_BYTES", 10)
    log = tmp_path / "a.log"
    rotate(log)
    log.write_text("short")
    rotate(log)
    assert log.exists()
    log.write_text("longer than ten")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "a.log.1").read_text() == "longer than ten"


async def test_follow_gives_whole_lines_of_every_log_and_survives_rotation(tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_text("old\n")
    lines = follow({"one": one, "two": two})
    seen: list[tuple[str, str]] = []

    async def read(count: int) -> None:
        async with asyncio.timeout(5):
            while len(seen) < count:
                seen.append(await anext(lines))

    reading = asyncio.create_task(read(1))
    await asyncio.sleep(0.05)
    with one.open("a") as file:
        file.write("new\nhalf")
    await reading
    assert seen == [("one", "new")]
    with one.open("a") as file:
        file.write(" and half\n")
    two.write_text("made later\n")
    await read(3)
    assert sorted(seen[1:]) == [("one", "half and half"), ("two", "made later")]
    one.write_text("anew\n")
    await read(4)
    assert seen[3] == ("one", "anew")
    await lines.aclose()
