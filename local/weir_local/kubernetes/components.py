"""etcd, kube-apiserver and kube-controller-manager as components, with the HPA controller and our metrics API registered."""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from weir_local import certificates
from weir_local.component import Component, Launch, NotReady, Report
from weir_local.kubernetes.build import ensure_built, program
from weir_local.mesh import Mesh

HOST = "127.0.0.1"
NAMESPACE = "weir-system"
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "horizontal-pod-autoscaler-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "resourcequota-controller",
)


@dataclass(frozen=True, slots=True)
class Etcd(Component):
    name: str = "etcd"
    ports: tuple[str, ...] = ("etcd-client", "etcd-peer")

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        # For all three: the others start after this one, so that nothing is built twice.
        await ensure_built(mesh.cache, report)

    def launch(self, mesh: Mesh) -> Launch:
        client, peer = f"http://{HOST}:{mesh.port('etcd-client')}", f"http://{HOST}:{mesh.port('etcd-peer')}"
        return Launch(
            (
                *(
                    str(program(mesh.cache, "etcd")),
                    "--name",
                    "weir",
                    "--data-dir",
                    str(mesh.folder("kubernetes", "etcd", mode=0o700)),
                ),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *(
                    "--listen-peer-urls",
                    peer,
                    "--initial-advertise-peer-urls",
                    peer,
                    "--initial-cluster",
                    f"weir={peer}",
                ),
                *("--log-level", "warn"),
            )
        )

    async def ready(self, mesh: Mesh) -> None:
        async with httpx.AsyncClient(timeout=2) as client:
            answer = await client.get(f"http://{HOST}:{mesh.port('etcd-client')}/health")
        if answer.json().get("health") != "true":
            raise NotReady(f"/health: {answer.text[:200]}")

    def url(self, mesh: Mesh) -> str | None:
        return f"http://{HOST}:{mesh.port('etcd-client')}"


@dataclass(frozen=True, slots=True)
class KubeApiserver(Component):
    name: str = "kube-apiserver"
    depends_on: tuple[str, ...] = ("etcd",)
    ports: tuple[str, ...] = ("kube-apiserver", "external-metrics")

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        certificates.server_certificate(
            mesh, "kube-apiserver", ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        )
        certificates.client_certificate(mesh, "front-proxy-client", authority="front-proxy-ca")
        certificates.server_certificate(mesh, "external-metrics", (f"weir-metrics.{NAMESPACE}.svc", "localhost"))
        _service_account_key(mesh)
        _tokens(mesh)
        for user in ("admin", "tenant-admin"):
            _kubeconfig(mesh, user)

    def launch(self, mesh: Mesh) -> Launch:
        ca = mesh.secrets_folder() / "ca"
        key = mesh.secrets_folder() / "service-account.pem"
        return Launch(
            (
                str(program(mesh.cache, "kube-apiserver")),
                f"--etcd-servers=http://{HOST}:{mesh.port('etcd-client')}",
                f"--bind-address={HOST}",
                f"--secure-port={mesh.port('kube-apiserver')}",
                f"--cert-dir={mesh.folder('kubernetes', 'certificates', mode=0o700)}",
                f"--tls-cert-file={ca / 'kube-apiserver.pem'}",
                f"--tls-private-key-file={ca / 'kube-apiserver-key.pem'}",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--authorization-mode=RBAC",
                f"--token-auth-file={mesh.secrets_folder() / 'kubernetes-tokens.csv'}",
                "--service-cluster-ip-range=10.96.0.0/16",
                f"--proxy-client-cert-file={ca / 'front-proxy-client.pem'}",
                f"--proxy-client-key-file={ca / 'front-proxy-client-key.pem'}",
                f"--requestheader-client-ca-file={ca / 'front-proxy-ca.pem'}",
                "--requestheader-allowed-names=front-proxy-client",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-username-headers=X-Remote-User",
            )
        )

    async def ready(self, mesh: Mesh) -> None:
        async with _admin(mesh) as client:
            answer = await client.get("/readyz")
        if answer.status_code != 200:
            raise NotReady(f"/readyz: {answer.text[:300]}")

    async def settle(self, mesh: Mesh) -> None:
        async with _admin(mesh) as client:
            for path, manifest in _objects(mesh):
                answer = await client.patch(
                    path,
                    params={"fieldManager": "weir-local", "force": "true"},
                    content=json.dumps(manifest),
                    headers={"content-type": "application/apply-patch+yaml"},
                )
                answer.raise_for_status()

    def url(self, mesh: Mesh) -> str | None:
        return f"kubectl --kubeconfig {mesh.state / 'kubernetes' / 'admin.kubeconfig'}"


@dataclass(frozen=True, slots=True)
class KubeControllerManager(Component):
    name: str = "kube-controller-manager"
    depends_on: tuple[str, ...] = ("kube-apiserver",)
    ports: tuple[str, ...] = ("kube-controller-manager",)

    async def prepare(self, mesh: Mesh, report: Report) -> None:
        certificates.server_certificate(mesh, "kube-controller-manager", ("localhost",))

    def launch(self, mesh: Mesh) -> Launch:
        kubeconfig = mesh.state / "kubernetes" / "admin.kubeconfig"
        ca = mesh.secrets_folder() / "ca"
        return Launch(
            (
                str(program(mesh.cache, "kube-controller-manager")),
                f"--kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                f"--bind-address={HOST}",
                f"--secure-port={mesh.port('kube-controller-manager')}",
                f"--tls-cert-file={ca / 'kube-controller-manager.pem'}",
                f"--tls-private-key-file={ca / 'kube-controller-manager-key.pem'}",
                f"--service-account-private-key-file={mesh.secrets_folder() / 'service-account.pem'}",
                f"--controllers={','.join(CONTROLLERS)}",
                "--leader-elect=false",
                "--horizontal-pod-autoscaler-sync-period=2s",
            )
        )

    async def ready(self, mesh: Mesh) -> None:
        context = ssl.create_default_context(cafile=str(certificates.ca(mesh).certificate))
        async with httpx.AsyncClient(verify=context, timeout=2) as client:
            answer = await client.get(f"https://localhost:{mesh.port('kube-controller-manager')}/healthz")
        if answer.status_code != 200:
            raise NotReady(f"/healthz: {answer.text[:300]}")


def control_plane() -> list[Component]:
    """In the order in which people read them."""
    return [Etcd(), KubeApiserver(), KubeControllerManager()]


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _admin(mesh: Mesh) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(certificates.ca(mesh).certificate))
    return httpx.AsyncClient(
        base_url=f"https://localhost:{mesh.port('kube-apiserver')}",
        headers={"authorization": f"Bearer {mesh.secret('kubernetes-admin-token')}"},
        verify=context,
        timeout=4,
    )


def _service_account_key(mesh: Mesh) -> None:
    mesh.secret_file(
        "service-account.pem",
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    )


def _tokens(mesh: Mesh) -> None:
    admin, tenant_admin = mesh.secret("kubernetes-admin-token"), mesh.secret("kubernetes-tenant-admin-token")
    mesh.secret_file(
        "kubernetes-tokens.csv",
        lambda: f'{admin},weir-admin,1,"system:masters"\n{tenant_admin},weir-tenant-admin,2,"weir"\n'.encode(),
    )


def _kubeconfig(mesh: Mesh, user: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "weir",
                "cluster": {
                    "server": f"https://localhost:{mesh.port('kube-apiserver')}",
                    "certificate-authority": str(certificates.ca(mesh).certificate),
                },
            }
        ],
        "users": [{"name": user, "user": {"token": mesh.secret(f"kubernetes-{user}-token")}}],
        "contexts": [{"name": "weir", "context": {"cluster": "weir", "user": user}}],
        "current-context": "weir",
    }
    path = mesh.folder("kubernetes") / f"{user}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _objects(mesh: Mesh) -> list[tuple[str, dict[str, Any]]]:
    """Path and manifest, in the order in which they are applied."""
    rules = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "create", "patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "list", "create", "patch", "delete"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "list", "create", "patch", "delete"]},
    ]  # fmt: skip
    certificate = certificates.ca(mesh).certificate.read_bytes()
    port = mesh.port("external-metrics")
    return [
        ("/api/v1/namespaces/" + NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/weir-tenant-admin",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "weir-tenant-admin"},
                "rules": rules,
            },
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/weir-tenant-admin",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "weir-tenant-admin"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "weir-tenant-admin",
                },
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "weir-tenant-admin"}],
            },
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/services/weir-metrics",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "weir-metrics", "namespace": NAMESPACE},
                # No nodes here: the name leads the aggregator to the server on this machine.
                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
            },
        ),
        (
            "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io",
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                "spec": {
                    "group": "external.metrics.k8s.io",
                    "version": "v1beta1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "service": {"name": "weir-metrics", "namespace": NAMESPACE, "port": port},
                    "caBundle": base64.b64encode(certificate).decode(),
                },
            },
        ),
    ]
