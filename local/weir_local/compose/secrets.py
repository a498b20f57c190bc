"""Everything that docker-compose.yml mounts and git must not hold: passwords, keys, certificates, and what contains them."""

from __future__ import annotations

from pathlib import Path

from weir_gateway import render

from weir_local import addresses as native
from weir_local import certificates
from weir_local.components.postgres import statements
from weir_local.components.valkey import users
from weir_local.compose.document import SECRET_FILES, STATE, environment, gateway_settings
from weir_local.environment import SERVICES
from weir_local.mesh import Mesh

VALKEY = """bind * -::*
port 6379
protected-mode yes
dir /data
aclfile /etc/valkey/users.acl
appendonly yes
# Snapshots that `weir hunt` can read.
rdbcompression no
appendfsync everysec
save ""
maxmemory 512mb
maxmemory-policy noeviction
"""


def make(root: Path) -> Path:
    """Make what is not there yet, and write the files anew. Gives their folder; a second call changes no secret."""
    mesh = Mesh.at(root / STATE, root / STATE)
    passwords = native.passwords(mesh)
    server = certificates.server_certificate(mesh, "gateway", ("localhost", "weir.localhost", "gateway"))
    # Only the folder is private: a container's user, who is nobody here, must be able to read what is mounted.
    folder = mesh.folder("files", mode=0o700)
    folder.chmod(0o700)
    sources = {
        "jwks.json": certificates.jwks(mesh),
        "jwt-signing.pem": certificates.signing_key(mesh),
        "operator-api-key": certificates.bootstrap_key(mesh),
        "exports.key": certificates.exports_key(mesh),
        "privacy.key": certificates.privacy_key(mesh),
        "gateway.pem": server.certificate,
        "gateway-key.pem": server.key,
        "ca.pem": certificates.ca(mesh).certificate,
    }
    missing = {name for names in SECRET_FILES.values() for name in names} - set(sources)
    if missing:
        raise LookupError(f"nothing makes {sorted(missing)}")
    for name, source in sources.items():
        _write(folder / name, source.read_bytes())
    _write(folder / "postgres-superuser", mesh.secret("postgres-superuser").encode())
    roles = statements(lambda role: mesh.secret(f"postgres-{role}"))
    _write(folder / "roles.sql", "".join(f"{statement};\n" for statement in roles).encode())
    _write(folder / "users.acl", users(mesh).encode())
    _write(folder / "valkey.conf", VALKEY.encode())
    _write(folder / "envoy.yaml", render(gateway_settings()).encode())
    variables = mesh.folder("environment", mode=0o700)
    variables.chmod(0o700)
    for service in SERVICES:
        _, secret = environment(service, passwords)
        _write(variables / f"{service}.env", "".join(f"{name}={value}\n" for name, value in secret.items()).encode())
    return mesh.state


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)
