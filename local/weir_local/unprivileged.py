"""`python unprivileged.py namespace|user COMMAND…`: run a command as a user that is not root.

PostgreSQL refuses to run as root, and an ordinary second user could not reach a checkout below /root (mode 700).

- `namespace`: in a user namespace of its own, root outside appears as `nobody` inside. The process sees an ordinary user
  with a passwd entry, while the kernel goes on checking files against root's ownership (without root's power over
  everybody else's). Python's `os.unshare` exists only from 3.12 on, hence ctypes.
- `user`: plainly become `nobody`; for kernels that forbid the first.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
USER = "nobody"


def enter_user_namespace() -> None:
    """Become `nobody` in a new user namespace. Raises OSError where the kernel forbids it."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    account = pwd.getpwnam(USER)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare(CLONE_NEWUSER): {os.strerror(number)}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{account.pw_gid} {outside_gid} 1")
    Path("/proc/self/uid_map").write_text(f"{account.pw_uid} {outside_uid} 1")


def become_user() -> None:
    account = pwd.getpwnam(USER)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def main() -> None:
    {"namespace": enter_user_namespace, "user": become_user}[sys.argv[1]]()
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command is the launcher's, given by absolute path


if __name__ == "__main__":
    main()
