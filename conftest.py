"""Rules for every test: a unit test opens no socket; the others say what they need by their markers."""

from __future__ import annotations

import pytest
import pytest_socket

_NEED_SERVERS = ("integration", "e2e", "kubernetes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Sockets are off unless a marker names the servers that the test talks to (event loops need their socket pair)."""
    if any(item.get_closest_marker(name) for name in _NEED_SERVERS):
        pytest_socket.enable_socket()
    else:
        pytest_socket.disable_socket(allow_unix_socket=True)


def pytest_runtest_teardown() -> None:
    """The next test decides for itself."""
    pytest_socket.enable_socket()
