"""Child processes that outlive their launcher, and how to know them again without ever mistaking a stranger for one.

Each component runs in a session of its own under a two-line shell that waits for it and writes its exit code: nobody
else could, since the launcher has long gone when the component dies. A process counts as ours only if its pid *and* its
start time are those that were written down, or if its environment carries our markers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from weir_local.component import Launch

STATE_MARKER = "WEIR_STATE_DIR"
COMPONENT_MARKER = "WEIR_COMPONENT"

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")

EXIT_CODE_SECONDS = 0.05
"""The waiting shell needs an instant, after the component's end, to write the exit code and go."""
KILL_SECONDS = 10.0

# $1 = niceness, $2 = folder, $3 = pid file, $4 = exit file, the rest = command. The inner shell writes its own pid and becomes the
# component, so the pid is known before the component has run its first instruction; the outer one stays only to write
# down the exit code. Niceness counts among the processes of one session only, where the kernel groups by session; then
# the session itself is told to yield.
WAITER = """
cd "$2" || exit 1
nice=$1; pid=$3; exit=$4; shift 4
[ "$nice" = 0 ] || { echo "$nice" >/proc/$$/autogroup; } 2>/dev/null
/bin/sh -c 'echo $$ >"$0.draft" && mv "$0.draft" "$0" && exec "$@"' "$pid" nice -n "$nice" "$@"
echo $? >"$exit"
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told apart from every other that had or will have its pid on this machine."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/<pid>/stat: clock ticks between boot and the start of the process."""
    boot: str
    """The kernel's boot id; pids and ticks begin anew with each boot."""

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now; None if there is none, or only a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command name stands in brackets and may hold spaces and brackets: count from the last one.
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), _boot_id())

    def alive(self) -> bool:
        return Identity.of(self.pid) == self


@dataclass(frozen=True, slots=True)
class Running:
    """What `run/<component>.json` says about the process that was started last."""

    component: str
    identity: Identity
    settings: str
    """Digest of command and environment; differs when the component would be started differently today."""
    started_at: float
    """Unix seconds."""


class Processes:
    """The components' processes of one state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._folder = state / "run"

    def start(self, component: str, launch: Launch, log: Path) -> Running:
        """Start the command in a session of its own, output appended to `log`. Raises OSError if it cannot be started."""
        self._folder.mkdir(parents=True, exist_ok=True)
        pid_file, exit_file = self._folder / f"{component}.pid", self._folder / f"{component}.exit"
        for old in (pid_file, exit_file, self._record(component)):
            old.unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= launch.environment
        environment |= {STATE_MARKER: str(self._state), COMPONENT_MARKER: component}
        directory = str(launch.directory or self._state)
        nice = str(int(launch.precedence))
        with log.open("ab") as output:
            # Not a Popen: nobody here waits for it, its waiting is the shell's business.
            os.posix_spawn(
                "/bin/sh",
                ("/bin/sh", "-c", WAITER, "weir", nice, directory, str(pid_file), str(exit_file), *launch.command),
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ),
                setsid=True,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores both, and children would inherit that
            )
        deadline = time.monotonic() + 5
        while not pid_file.exists():
            if time.monotonic() > deadline:
                raise OSError(f"{component}: the shell did not start it within 5 s")
            time.sleep(0.002)
        pid = int(pid_file.read_text())
        # A process that is gone already gets an identity that never matches.
        identity = Identity.of(pid) or Identity(pid, -1, _boot_id())
        running = Running(component, identity, settings_digest(launch), time.time())
        record = self._record(component)
        draft = record.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(running)))
        draft.replace(record)
        return running

    def last(self, component: str) -> Running | None:
        """The process that was started last, alive or not."""
        try:
            raw = json.loads(self._record(component).read_text())
        except FileNotFoundError:
            return None
        return Running(raw["component"], Identity(**raw["identity"]), raw["settings"], raw["started_at"])

    def alive(self, component: str) -> Running | None:
        running = self.last(component)
        return running if running is not None and running.identity.alive() else None

    def exit_code(self, component: str) -> int | None:
        """How it ended (128 + n for signal n); None while it runs or if nobody saw it end."""
        try:
            return int((self._folder / f"{component}.exit").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def forget(self, component: str) -> None:
        for suffix in ("json", "pid", "exit"):
            (self._folder / f"{component}.{suffix}").unlink(missing_ok=True)

    def marked(self, component: str | None = None) -> list[Identity]:
        """Every process whose environment says that it belongs to this mesh (and to this component), by /proc.

        This finds what no file knows: children of a launcher that was killed between two writes.
        """
        state = f"{STATE_MARKER}={self._state}".encode()
        found = []
        for pid, environment in _environments():
            if pid == os.getpid() or state not in environment:
                continue
            names = [entry for entry in environment if entry.startswith(COMPONENT_MARKER.encode() + b"=")]
            if not names or (component is not None and names[0] != f"{COMPONENT_MARKER}={component}".encode()):
                continue
            identity = Identity.of(pid)
            if identity is not None:
                found.append(identity)
        return found

    def strays(self, components: Sequence[str]) -> list[int]:
        """Pids that carry our marker but belong to no component that is known to run: neither it nor in its session."""
        known = [running.identity.pid for name in components if (running := self.alive(name)) is not None]
        sessions = {_session(pid) for pid in known}
        return [identity.pid for identity in self.marked() if _session(identity.pid) not in sessions]

    async def stop(self, component: str, first: signal.Signals, seconds: float) -> bool:
        """End the component and whatever it left behind. True if something was running.

        `first` goes to the component alone, which may want to end its own children in order; SIGKILL goes to all.
        """
        running = self.alive(component)
        if running is not None:
            _signal(running.identity, first)
            await _ended(running.identity, seconds)
            await asyncio.sleep(EXIT_CODE_SECONDS)
        return await self.kill_marked(component) > 0 or running is not None

    async def kill_marked(self, component: str | None = None) -> int:
        """SIGKILL to every process that carries the marker and to what descends from it, until none is left.

        Some descendants cannot be known by the marker: PostgreSQL's backends in a user namespace hide their environment.
        One look is not enough, because a process may start another between the look and its end. Gives the number.
        """
        killed: set[Identity] = set()
        deadline = time.monotonic() + KILL_SECONDS
        while left := self.marked(component):
            left += _descendants(left)
            killed.update(left)
            for identity in left:
                _signal(identity, signal.SIGKILL)
            for identity in left:
                await _ended(identity, KILL_SECONDS)
            if time.monotonic() > deadline:
                break
        return len(killed)

    def _record(self, component: str) -> Path:
        return self._folder / f"{component}.json"


def settings_digest(launch: Launch) -> str:
    """Changes when command, environment or folder change."""
    parts = (launch.command, sorted(launch.environment.items()), str(launch.directory), int(launch.precedence))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _signal(identity: Identity, number: signal.Signals) -> None:
    """Signal exactly this process: the descriptor pins it, so that a recycled pid cannot be hit in between."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if identity.alive():
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


async def _ended(identity: Identity, seconds: float) -> bool:
    """Wait until the process is gone, at most this long: its descriptor becomes readable then. True if it is gone."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        if identity.alive():
            async with asyncio.timeout(seconds):
                await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


def _descendants(of: Sequence[Identity]) -> list[Identity]:
    """Processes below the given ones that are not among them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(text[text.rindex(")") + 2 :].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    known = {identity.pid for identity in of}
    found: list[Identity] = []
    left = list(known)
    while left:
        for pid in children.get(left.pop(), ()):
            if pid in known or pid == os.getpid():
                continue
            known.add(pid)
            left.append(pid)
            identity = Identity.of(pid)
            if identity is not None:
                found.append(identity)
    return found


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # ended meanwhile, or another user's


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
