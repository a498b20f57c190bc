"""The rendered gateway: every route has its service, nothing internal is served, limits are set where Envoy's defaults bite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from weir_gateway import GatewaySettings, Upstream, render
from weir_gateway.routes import ROUTES, SERVICES


@pytest.fixture
def settings() -> GatewaySettings:
    upstream = Upstream(http_port=1, grpc_port=2)
    path = Path("/x")
    return GatewaySettings(
        https_port=10,
        grpc_port=11,
        admin_port=12,
        certificate_path=path,
        private_key_path=path,
        client_ca_path=path,
        jwks_path=path,
        otlp_host="127.0.0.1",
        otlp_port=4317,
        ingest=upstream,
        fraud=upstream,
        anomaly=upstream,
        analytics=upstream,
        compliance=upstream,
        tenant_admin=upstream,
    )


def filters(settings: GatewaySettings) -> list[dict]:  # type: ignore[type-arg]
    listener = yaml.safe_load(render(settings))["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]  # type: ignore[no-any-return]


def test_forged_headers_go_first_and_the_router_comes_last(settings: GatewaySettings) -> None:
    names = [each["name"].rsplit(".", 1)[1] for each in filters(settings)]
    assert names == ["header_mutation", "lua", "jwt_authn", "ext_authz", "local_ratelimit", "buffer", "router"]


def test_what_ingest_tells_the_gateway_and_the_gateway_ingest_no_caller_can_say(settings: GatewaySettings) -> None:
    mutations, lua = filters(settings)[0]["typed_config"]["mutations"], filters(settings)[1]["typed_config"]
    removed = {one["remove"] for one in mutations["request_mutations"]}
    assert {"x-weir-refused-unread", "x-weir-tenant"} <= removed
    script = lua["default_source_code"]["inline_string"]
    assert 'headers:remove("x-weir-pause")' in script, "it is nobody's business outside"
    assert f"local MOST_PAUSES = {settings.max_tenants}\n" in script
    assert not re.search("@[A-Z_]+@", script), "a place that nothing was put into"


def test_a_body_that_the_script_waits_for_fits_into_the_connections_buffer(settings: GatewaySettings) -> None:
    script = filters(settings)[1]["typed_config"]["default_source_code"]["inline_string"]
    (most,) = re.findall(r"^local MOST_BYTES_TO_READ = (\d+)$", script, re.MULTILINE)
    listener = yaml.safe_load(render(settings))["static_resources"]["listeners"][0]
    # Otherwise Envoy answers 413 to what is only too much for now.
    assert int(most) < listener["per_connection_buffer_limit_bytes"]


def test_a_bucket_a_tenant_for_many_tenants(settings: GatewaySettings) -> None:
    limit = next(each for each in filters(settings) if each["name"].endswith("local_ratelimit"))["typed_config"]
    # Envoy keeps 20 by default: with 21 active tenants a limited one would get through.
    assert limit["max_dynamic_descriptors"] == settings.max_tenants >= 1_000
    assert limit["rate_limits"][0]["actions"][0]["request_headers"]["header_name"] == "x-weir-tenant"


def test_writes_are_not_repeated_by_the_gateway(settings: GatewaySettings) -> None:
    for route in ROUTES:
        if route.prefix in ("/api/v2/events/", "/api/v2/ml/", "/api/v2/data/", "/api/v2/admin/", "/api/v2/auth/"):
            assert not route.retry


def test_every_service_has_a_cluster_for_each_protocol(settings: GatewaySettings) -> None:
    clusters = {cluster["name"] for cluster in yaml.safe_load(render(settings))["static_resources"]["clusters"]}
    assert {name for service in SERVICES for name in (service, f"{service}_grpc")} <= clusters


def test_health_metrics_and_the_credential_check_are_not_served(settings: GatewaySettings) -> None:
    text = render(settings)
    listener = yaml.safe_load(text)["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    prefixes = [
        route["match"].get("prefix") or route["match"]["path"]
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]
        if "direct_response" not in route
    ]
    assert all(prefix.startswith(("/api/v2/", "/docs/", "/openapi/")) for prefix in prefixes)


def managers(settings: GatewaySettings) -> list[dict]:  # type: ignore[type-arg]
    listeners = yaml.safe_load(render(settings))["static_resources"]["listeners"]
    return [listener["filter_chains"][0]["filters"][0]["typed_config"] for listener in listeners]


def test_neither_logs_nor_spans_hold_what_callers_write(settings: GatewaySettings) -> None:
    assert len(managers(settings)) == 2
    for manager in managers(settings):
        (log,) = manager["access_log"]
        written = log["typed_config"]["log_format"]["json_format"].values()
        assert not [
            one for one in written if "PATH" in one or "USER-AGENT" in one or "REFERER" in one or "REMOTE" in one
        ]
        tags = {tag.pop("tag"): tag for tag in manager["tracing"]["custom_tags"]}
        assert tags["http.url"] == {"value": "route %ROUTE_NAME%"}
        assert tags["user_agent"] == tags["peer.address"] == {"literal": {"value": "withheld"}}
        # A route without a name would be nothing in both.
        (host,) = manager["route_config"]["virtual_hosts"]
        for route in host["routes"]:
            assert route["name"] == route["match"].get("prefix", route["match"].get("path"))


def test_a_method_that_no_resource_has_is_answered_here_and_never_sent_on(settings: GatewaySettings) -> None:
    manager = yaml.safe_load(render(settings))["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    config = manager["typed_config"]
    first = config["route_config"]["virtual_hosts"][0]["routes"][0]
    (method,) = first["match"]["headers"]
    pattern = method["string_match"]["safe_regex"]["regex"]
    assert method["invert_match"]
    assert all(re.fullmatch(pattern, known) for known in ("GET", "POST", "DELETE", "OPTIONS"))
    assert not any(re.fullmatch(pattern, unknown) for unknown in ("QUERY", "BREW", "GETS", "get"))
    assert (first["direct_response"]["status"], "route" in first) == (405, False)
    assert first["response_headers_to_add"][0]["header"]["key"] == "allow"
    # Otherwise the codec itself would call it unreadable, before any route is asked.
    assert config["http_protocol_options"] == {"allow_custom_methods": True}


def test_what_is_not_known_of_a_request_is_left_out_of_a_problem(settings: GatewaySettings) -> None:
    manager = yaml.safe_load(render(settings))["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    formats = [mapper["body_format_override"] for mapper in manager["typed_config"]["local_reply_config"]["mappers"]]
    documents = [one for one in formats if "json_format" in one]
    assert {one["json_format"]["status"] for one in documents} >= {400, 401, 405, 408, 413, 429, 431, 503, 504}
    assert all(one["omit_empty_values"] for one in documents)
