"""How PostgreSQL is run by a user that it accepts: plainly, in a user namespace, or as another user.

1. Not root: as is.
2. Root, and the kernel allows user namespaces: `weir_local.unprivileged`; all files stay in the state directory.
3. Root without user namespaces: as `nobody`, with the binaries copied to and the data kept in `/var/lib/weir/<id>`, since
   that user can enter neither a checkout nor a cache below /root.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from weir_local.mesh import python
from weir_local.unprivileged import USER

FOREIGN_ROOT = Path("/var/lib/weir")
PROBE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Runner:
    """Where PostgreSQL's files are and what goes before its commands."""

    binaries: Path
    """The folder with bin/, lib/ and share/."""
    folder: Path
    """Holds `data/` and whatever else must lie where the server's user can read it."""
    prefix: tuple[str, ...] = ()
    owner: str | None = None
    """The OS user that must own the files; None: whoever runs `weir`."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        return (*self.prefix, str(self.binaries / "bin" / program), *arguments)

    def own(self, path: Path) -> None:
        """Hand a file to the user that runs the server."""
        if self.owner is not None:
            account = pwd.getpwnam(self.owner)
            os.chown(path, account.pw_uid, account.pw_gid)

    def drafts(self) -> list[Path]:
        """Folders of data directories that were never finished."""
        return list(self.folder.glob("draft-*"))

    def new_draft(self) -> Path:
        """An empty folder that the server's user may write into, beside the data directory."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.own(self.folder)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.folder))
        self.own(draft)
        return draft


def postgres_runner(state: Path, installed: Path) -> Runner:
    """The way that works on this machine for this state directory. `installed` is the package's folder."""
    plain = Runner(installed, state / "postgres")
    if os.geteuid() != 0:
        return plain
    wrapper = (python(), "-I", str(Path(__file__).with_name("unprivileged.py")))
    if not foreign_folder(state).exists() and user_namespaces_work():
        return Runner(plain.binaries, plain.folder, (*wrapper, "namespace"))
    return Runner(foreign_folder(state) / "pgsql", foreign_folder(state), (*wrapper, "user"), USER)


def foreign_folder(state: Path) -> Path:
    """Where the server's files of this state directory lie when they cannot lie in it. `down --purge` removes it."""
    return FOREIGN_ROOT / hashlib.sha256(os.fsencode(state)).hexdigest()[:12]


def copy_binaries(runner: Runner, installed: Path) -> None:
    """Put the programs where the server's user can run them (30 MB; once)."""
    if runner.binaries == installed or runner.binaries.is_dir():
        return
    runner.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    draft = runner.folder / ".pgsql"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(installed, draft, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    draft.rename(runner.binaries)


@cache
def user_namespaces_work() -> bool:
    """Try it in a child: what counts is not a sysctl's value but whether this kernel, here, does it."""
    probe = subprocess.run(
        (python(), "-I", str(Path(__file__).with_name("unprivileged.py")), "namespace", "/bin/true"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    return probe.returncode == 0
