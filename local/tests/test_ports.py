"""Ports are chosen once, never twice, and given up only when a stranger took them."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from weir_local.ports import FIRST, LAST, NoFreePort, Ports, is_free


def test_a_name_keeps_its_port(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json", "a", free=lambda _: True).get("kafka")
    again = Ports(tmp_path / "ports.json", "a", free=lambda _: False).get("kafka")
    assert first == again
    assert FIRST <= first < LAST


def test_names_never_share_a_port_even_when_chosen_at_the_same_time(tmp_path: Path) -> None:
    def choose(number: int) -> int:
        return Ports(tmp_path / "ports.json", "a", free=lambda _: True).get(f"port-{number}")

    with ThreadPoolExecutor(8) as threads:
        chosen = list(threads.map(choose, range(40)))
    assert len(set(chosen)) == 40
    assert sorted(Ports(tmp_path / "ports.json", "a").all().values()) == sorted(chosen)


def test_two_checkouts_begin_their_search_in_different_places(tmp_path: Path) -> None:
    here = Ports(tmp_path / "1.json", "/home/a/weir/.weir", free=lambda _: True)
    there = Ports(tmp_path / "2.json", "/home/b/weir/.weir", free=lambda _: True)
    assert here.get("postgres") != there.get("postgres")


def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    taken = Ports(tmp_path / "1.json", "a", free=lambda _: True).get("x")
    assert Ports(tmp_path / "2.json", "a", free=lambda port: port != taken).get("x") not in (taken, None)


def test_replace_gives_another_port_and_remembers_it(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json", "a", free=lambda _: True)
    before = ports.get("x")
    after = ports.replace("x")
    assert after != before
    assert ports.get("x") == after


def test_the_search_wraps_around_and_ends(tmp_path: Path) -> None:
    only = FIRST + 3
    assert Ports(tmp_path / "1.json", "a", free=lambda port: port == only).get("x") == only
    with pytest.raises(NoFreePort, match="for x"):
        Ports(tmp_path / "2.json", "a", free=lambda _: False).get("x")


@pytest.mark.integration
def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
