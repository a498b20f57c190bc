"""The metrics API over real TLS on this machine: who may ask, what is answered, and that the unknown is 404."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from weir_common.ids import TenantId
from weir_common.kafka.partitioner import tenant_partitions
from weir_common.kafka.topics import EVENTS
from weir_common.ops import ConsumerProgress, TenantProgress
from weir_common.settings import KafkaSettings
from weir_local.ports import is_free
from weir_tenant_admin.domain.cluster_names import METRIC, is_label_value, namespace_of
from weir_tenant_admin.entrypoints.external_metrics import ExternalMetrics
from weir_tenant_admin.lag_table import LagTable
from weir_tenant_admin.settings import ExternalMetricsSettings

# Sockets of this machine only; no server of the mesh is asked.
pytestmark = pytest.mark.integration

ROOT = "/apis/external.metrics.k8s.io/v1beta1"
ACME = TenantId("acme")
NOW = 1_000_000.0
PROXIED = {"X-Remote-User": "system:kube-controller-manager"}


@dataclass
class Certificates:
    folder: Path

    def authority(self, name: str) -> None:
        self._make(name, name)

    def signed(self, name: str, authority: str, common_name: str) -> None:
        self._make(name, authority, common_name)

    def _make(self, name: str, authority: str, common_name: str | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        own = name == authority
        issuer_key = key
        if not own:
            loaded = serialization.load_pem_private_key(self.path(f"{authority}-key").read_bytes(), None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            issuer_key = loaded
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(issuer_key, SHA256())
        )
        self.path(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.path(f"{name}-key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    for authority in ("ca", "front-proxy-ca", "other-ca"):
        made.authority(authority)
    made.signed("server", "ca", "external-metrics")
    made.signed("aggregator", "front-proxy-ca", "front-proxy-client")
    made.signed("colleague", "front-proxy-ca", "somebody-else")
    made.signed("forger", "other-ca", "front-proxy-client")
    return made


class Asker:
    """A client with one of the certificates, or none."""

    def __init__(self, port: int, certificates: Certificates) -> None:
        self._port = port
        self._certificates = certificates

    async def get(
        self, path: str, *, certificate: str | None = "aggregator", headers: dict[str, str] = PROXIED
    ) -> tuple[int, dict[str, object]]:
        context = ssl.create_default_context(cafile=str(self._certificates.path("ca")))
        if certificate is not None:
            context.load_cert_chain(self._certificates.path(certificate), self._certificates.path(f"{certificate}-key"))
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as session,
            session.get(f"https://localhost:{self._port}{path}", headers=headers) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
def table() -> LagTable:
    return LagTable(KafkaSettings(bootstrap_servers="nowhere:1"))


@pytest.fixture
async def asker(certificates: Certificates, table: LagTable, unused_tcp_port: int) -> AsyncIterator[Asker]:
    settings = ExternalMetricsSettings(
        port=unused_tcp_port,
        cert_path=certificates.path("server"),
        key_path=certificates.path("server-key"),
        client_ca_path=certificates.path("front-proxy-ca"),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(ExternalMetrics(settings, table, lambda: NOW).run(stop))
    while is_free(unused_tcp_port) and not running.done():
        await asyncio.sleep(0.01)
    yield Asker(unused_tcp_port, certificates)
    stop.set()
    await running


def load(table: LagTable, *, at: float = NOW, busy_seconds: float = 120.0) -> None:
    for number, partition in enumerate(tenant_partitions(ACME)):
        table.take(
            ConsumerProgress(
                service="fraud",
                consumer="score",
                instance="one",
                topic=EVENTS,
                partition=partition,
                position=1,
                end_offset=1,
                reported_at_ms=int(at * 1000),
                tenants={} if number else {"acme": TenantProgress(6_000, busy_seconds=busy_seconds)},
            )
        )


def values(tenant: str = "acme", service: str = "fraud", *, namespace: str | None = None, metric: str = METRIC) -> str:
    where = namespace or namespace_of(TenantId(tenant))
    return f"{ROOT}/namespaces/{where}/{metric}?labelSelector=service%3D{service}%2Ctenant%3D{tenant}"


async def test_the_resource_list_names_the_metric(asker: Asker) -> None:
    status, document = await asker.get(ROOT)
    assert status == 200
    assert document["kind"] == "APIResourceList"
    assert [resource["name"] for resource in document["resources"]] == [METRIC]  # type: ignore[attr-defined]


async def test_the_value_is_what_the_load_needs(asker: Asker, table: LagTable) -> None:
    load(table)
    status, document = await asker.get(values())
    assert status == 200
    [item] = document["items"]  # type: ignore[misc]
    # 120 s of work in 60 s at a utilisation of 0.7
    assert item["value"] == "3"
    assert item["metricLabels"] == {"tenant": "acme", "service": "fraud"}


async def test_what_is_old_or_unknown_is_404(asker: Asker, table: LagTable) -> None:
    assert (await asker.get(values()))[0] == 404
    load(table, at=NOW - 16)
    assert (await asker.get(values()))[0] == 404
    load(table)
    assert (await asker.get(values()))[0] == 200
    assert (await asker.get(values(service="nothing")))[0] == 404
    assert (await asker.get(values(metric="weir_other")))[0] == 404


async def test_a_namespace_sees_its_own_tenant_only(asker: Asker, table: LagTable) -> None:
    load(table)
    assert (await asker.get(values(namespace=namespace_of(TenantId("globex")))))[0] == 404


@pytest.mark.parametrize("selector", ["", "tenant=acme", "tenant!=acme,service=fraud", "tenant=a,tenant=b,service=c"])
async def test_any_other_selector_is_a_bad_request(asker: Asker, selector: str) -> None:
    path = f"{ROOT}/namespaces/{namespace_of(ACME)}/{METRIC}?labelSelector={selector}"
    assert (await asker.get(path))[0] == 400


@pytest.mark.parametrize("certificate", [None, "forger"])
async def test_without_a_certificate_of_the_authority_nothing_is_answered(
    asker: Asker, certificate: str | None
) -> None:
    with pytest.raises(aiohttp.ClientError):
        await asker.get(ROOT, certificate=certificate)


async def test_another_name_or_no_user_is_refused(asker: Asker) -> None:
    assert (await asker.get(ROOT, certificate="colleague"))[0] == 403
    assert (await asker.get(ROOT, headers={}))[0] == 401


def test_namespaces_are_names_and_differ() -> None:
    assert namespace_of(TenantId("a_b")) != namespace_of(TenantId("a-b"))
    assert len(namespace_of(TenantId("x" * 63))) <= 63
    assert namespace_of(TenantId("merchant_12345")).startswith("weir-merchant-12345-")
    assert is_label_value(TenantId("merchant_12345"))
    assert not is_label_value(TenantId("merchant_"))
