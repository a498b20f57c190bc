"""podman and buildah as root on a machine without systemd: a storage of our own, runc, images that no registry gives.

No image can be pulled here. The Dockerfile's base is made by debootstrap and tagged with the name that it asks for; the servers'
images are made of the packages that the native mesh runs, under the official names, with as much of their contract as
docker-compose.yml uses (``standins/``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from weir_local.components.kafka import java
from weir_local.components.postgres import binaries
from weir_local.components.temporal import binary as temporal
from weir_local.components.valkey import binary as valkey
from weir_local.compose import document
from weir_local.environment import SERVICES
from weir_local.jars import cached_jars

ROOT = Path(__file__).parents[3]
STANDINS = Path(__file__).with_name("standins")
PACKAGES = ("podman", "buildah", "runc", "iptables", "netavark", "aardvark-dns", "debootstrap")
BASE = "localhost/python:3.11-slim-bookworm"

_CONTAINERS = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


class CommandFailed(Exception):
    """A command ended with an error; its last lines are in the text."""


class Podman:
    """Everything below ``folder``, so that it can be removed whole."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(_CONTAINERS)
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"\n'
        )
        self.environment: Mapping[str, str] = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def run(self, *command: str, seconds: float, log: Path | None = None) -> str:
        """Its output. ``CommandFailed`` when it does not end well in time."""
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"{' '.join(command[:4])} did not end within {seconds:.0f} s") from error
        text = done.stdout.decode(errors="replace")
        if log is not None:
            log.write_text(text)
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command[:6])}: exit code {done.returncode}\n{text[-3000:]}")
        return text

    def install(self) -> None:
        """Debian's packages, if one is missing."""
        if all(shutil.which(name) for name in ("podman", "buildah", "runc", "iptables", "debootstrap")):
            return
        self.run("apt-get", "update", "-qq", seconds=300)
        self.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES, seconds=600)

    def compose_program(self) -> Path:
        """podman-compose in an environment of its own, by hash."""
        environment = self.folder / "compose-venv"
        program = environment / "bin" / "podman-compose"
        if not program.exists():
            self.run(sys.executable, "-m", "venv", str(environment), seconds=120)
            lock = str(ROOT / "requirements" / "compose.lock")
            self.run(str(environment / "bin" / "pip"), "install", "-q", "--require-hashes", "-r", lock, seconds=300)
        return program

    def has(self, image: str) -> bool:
        """Whether the image is there."""
        return bool(self.run("podman", "images", "--quiet", image, seconds=30).strip())

    def make_base(self) -> None:
        """The base image, with pip told where the machine keeps its certificates."""
        if self.has(BASE):
            return
        root = self.folder / "rootfs"
        shutil.rmtree(root, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        self.run("debootstrap", "--variant=minbase", packages, "bookworm", str(root), seconds=600)
        (root / "etc" / "pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ntimeout = 180\n")
        archive = self.folder / "rootfs.tar"
        self.run("tar", "-C", str(root), "-cf", str(archive), ".", seconds=120)
        self.run("podman", "import", str(archive), BASE, seconds=300)
        archive.unlink()
        shutil.rmtree(root)

    def build(self, service: str) -> None:
        """One of our images, by the Dockerfile as it is."""
        self.run(
            *("buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker"),
            *("--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--build-arg", f"SERVICE={service}"),
            *("-f", "docker/Dockerfile", "-t", f"localhost/weir/{service}:dev", "."),
            seconds=1_200,
            log=self.folder / f"build-{service}.log",
        )

    def make_servers(self) -> None:
        """Stand-ins under the names that docker-compose.yml asks for."""
        images = {name: one["image"] for name, one in yaml.safe_load(document.text())["services"].items()}
        jars = cached_jars(self.cache, lambda _: None)
        installed = binaries()
        # Where the wheel keeps what its programs are linked with.
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
        runtime = java().parent.parent
        self._stand_in(
            images["postgres"],
            [
                (installed, "opt/postgres"),
                (libraries, "opt/libraries"),
                (STANDINS / "postgres.sh", "usr/local/bin/entry"),
            ],
            "RUN useradd --uid 999 postgres",
            ["entry"],
        )
        self._stand_in(images["valkey"], [(valkey(), "usr/local/bin/valkey-server")], "", [])
        self._stand_in(
            images["kafka"],
            [(jars, "opt/kafka/libs"), (runtime, "opt/java"), (STANDINS / "kafka.sh", "usr/local/bin/entry")],
            "",
            ["entry"],
        )
        self._stand_in(images["temporal"], [(temporal(), "usr/local/bin/temporal")], "", ["temporal"])

    def _stand_in(self, image: str, files: Sequence[tuple[Path, str]], more: str, entry: Sequence[str]) -> None:
        context = self.folder / "standin"
        shutil.rmtree(context, ignore_errors=True)
        for source, target in files:
            place = context / "root" / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True)
            else:
                shutil.copy(source, place)
                place.chmod(0o755)
        entrypoint = f"ENTRYPOINT [{', '.join(f'{chr(34)}{word}{chr(34)}' for word in entry)}]" if entry else ""
        (context / "Dockerfile").write_text(f"FROM {BASE}\nCOPY root /\n{more}\n{entrypoint}\n")
        self.run(
            *("buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker"),
            *("-t", f"localhost/{image}", str(context)),
            seconds=300,
        )
        shutil.rmtree(context)

    def images(self) -> dict[str, str]:
        """Size of each of our images, as podman says it."""
        lines = self.run("podman", "images", "--format", "{{.Repository}} {{.Size}}", seconds=30).splitlines()
        sizes = dict(line.split(" ", 1) for line in lines if line)
        return {name: sizes.get(f"localhost/weir/{name}", "-") for name in (*SERVICES, "gateway")}
