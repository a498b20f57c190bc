"""The bytes of commands, which hiredis writes for us."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Connection
from weir_common.valkey import PackedByHiredis


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("CONFIG GET", "maxmemory"),
        (b"MGET", "a", b"\x00\xff", "\u00e4"),
        ("EVALSHA", "d" * 40, 1, "key", 86_400, 0.25, b"x" * 100_000),
    ],
)
def test_commands_are_written_as_the_client_itself_writes_them(command: tuple[Any, ...]) -> None:
    ours, own = PackedByHiredis(), Connection()
    assert b"".join(ours.pack_command(*command)) == b"".join(own.pack_command(*command))
    assert b"".join(ours.pack_commands([command, command])) == b"".join(own.pack_commands([command, command]))


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(TypeError):
        PackedByHiredis().pack_command("SET", "key", None)
