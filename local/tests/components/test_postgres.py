"""What PostgreSQL's component does about a server that was killed."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from weir_local.component import CannotStart
from weir_local.components import postgres

IPC_RMID = 0


@pytest.fixture
def segment() -> Iterator[int]:
    """A real piece of shared memory that this process holds."""
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(0, 4096, 0o600)
    assert number >= 0
    address = libc.shmat(number, None, 0)
    yield number
    libc.shmdt(ctypes.c_void_p(address))
    libc.shmctl(number, IPC_RMID, None)


def killed_server(folder: Path, segment: int, pid: int = 0) -> Path:
    (folder / "postmaster.pid").write_text(
        f"{pid}\n{folder}\n1700000000\n5432\n\n127.0.0.1\n  12345  {segment}\nready   \n"
    )
    return folder


async def test_a_start_waits_until_nobody_holds_the_memory_of_the_killed_server(
    tmp_path: Path, segment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = killed_server(tmp_path, segment)
    monkeypatch.setattr(postgres, "RELEASE_SECONDS", 0.1)
    with pytest.raises(CannotStart, match=f"shared memory {segment}"):
        await postgres._released(held)


async def test_memory_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    async with asyncio.timeout(1):
        await postgres._released(tmp_path)  # never had a server
        await postgres._released(killed_server(tmp_path, 2**31 - 1))


def test_a_pid_file_is_stale_unless_its_process_is_a_server_of_this_folder(tmp_path: Path) -> None:
    assert not postgres._pid_file_is_stale(tmp_path)
    assert postgres._pid_file_is_stale(killed_server(tmp_path, 1, pid=os.getpid()))
