"""Renders Envoy's configuration from ``GatewaySettings``: a pure function, so that every deployment has the same gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from weir_gateway.routes import GRPC_SERVICES, GRPC_STREAMS, ROUTES, SERVICES, Route
from weir_gateway.settings import GatewaySettings, Upstream

_TYPE = "type.googleapis.com/"
_OWN_HEADERS = ("x-weir-tenant", "x-weir-principal", "x-weir-kind", "x-weir-jwt", "x-weir-refused-unread")

_ACCESS_LOG = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "service.name": "weir-gateway",
    "message": "request",
    "http.request.method": "%REQ(:METHOD)%",
    # The route, never the path: people's identifiers stand in paths (`…/receipts/ada@example.com`), and logs are not erased.
    "http.route": "%ROUTE_NAME%",
    "http.response.status_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "duration_ms": "%DURATION%",
    "upstream_ms": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "weir.tenant.id": "%REQ(X-WEIR-TENANT)%",
    "principal": "%REQ(X-WEIR-PRINCIPAL)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "trace_id": "%TRACE_ID%",
    "protocol": "%PROTOCOL%",
}

_PROBLEM = "application/problem+json"


def render(settings: GatewaySettings) -> str:
    """The whole bootstrap configuration as YAML."""
    return yaml.safe_dump(bootstrap(settings), sort_keys=False, width=200)


def bootstrap(settings: GatewaySettings) -> dict[str, Any]:
    """The same as data."""
    return {
        "node": {"id": "weir-gateway", "cluster": "weir-gateway"},
        "admin": {"address": _address(settings.admin_host, settings.admin_port)},
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {"overload": {"global_downstream_max_connections": settings.max_connections}},
                }
            ]
        },
        "static_resources": {
            "listeners": [_https_listener(settings), _grpc_listener(settings)],
            "clusters": _clusters(settings),
        },
    }


# ── listeners ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _https_listener(settings: GatewaySettings) -> dict[str, Any]:
    manager = {
        **_connection_manager(settings, "ingress_https"),
        "http_filters": [
            _strip_own_headers(),
            _refuse_unread(settings),
            _filter(
                "envoy.filters.http.jwt_authn",
                "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                _jwt(settings),
            ),
            _filter(
                "envoy.filters.http.ext_authz",
                "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                _credential_check(),
            ),
            _filter(
                "envoy.filters.http.local_ratelimit",
                "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                _tenant_limit(settings),
            ),
            _filter(
                "envoy.filters.http.buffer",
                "envoy.extensions.filters.http.buffer.v3.Buffer",
                {"max_request_bytes": settings.max_body_bytes},
            ),
            _filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {}),
        ],
        "route_config": {
            "name": "public",
            "max_direct_response_body_size_bytes": 4096,
            "request_headers_to_remove": ["x-weir-jwt"],
            "virtual_hosts": [{"name": "public", "domains": ["*"], "routes": _public_routes(settings)}],
        },
        "local_reply_config": _problem_replies(),
    }
    return {
        "name": "https",
        "address": _address(settings.listen_host, settings.https_port),
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [{"transport_socket": _downstream_tls(settings, mutual=False), "filters": [_hcm(manager)]}],
    }


def _grpc_listener(settings: GatewaySettings) -> dict[str, Any]:
    # What bounds these is the pause between messages (stream_idle_timeout), not how long they stay open.
    routes: list[dict[str, Any]] = [
        {"name": method, "match": {"path": method}, "route": {"cluster": f"{service}_grpc", "timeout": "0s"}}
        for method, service in GRPC_STREAMS.items()
    ]
    routes += [
        {
            "name": f"/{name}/",
            "match": {"prefix": f"/{name}/"},
            "route": {
                "cluster": f"{service}_grpc",
                "timeout": "30s",
                "max_stream_duration": {"grpc_timeout_header_max": "300s"},
            },
        }
        for name, service in GRPC_SERVICES.items()
    ]
    # Health and reflection of a service are asked for by its name in a header; without it, those of ingest answer.
    for service in SERVICES:
        routes.append(
            {
                "name": "/grpc.",
                "match": {
                    "prefix": "/grpc.",
                    "headers": [{"name": "x-weir-service", "string_match": {"exact": service.replace("_", "-")}}],
                },
                "route": {"cluster": f"{service}_grpc", "timeout": "0s"},
            }
        )
    routes.append(
        {"name": "/grpc.", "match": {"prefix": "/grpc."}, "route": {"cluster": "ingest_grpc", "timeout": "0s"}}
    )
    manager = {
        **_connection_manager(settings, "ingress_grpc"),
        "request_timeout": "0s",  # a stream of requests is one request; unary calls have deadlines of their own
        "http_filters": [
            _strip_own_headers(),
            _filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {}),
        ],
        "route_config": {
            "name": "internal",
            "virtual_hosts": [{"name": "internal", "domains": ["*"], "routes": routes}],
        },
    }
    return {
        "name": "grpc",
        "address": _address(settings.listen_host, settings.grpc_port),
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [{"transport_socket": _downstream_tls(settings, mutual=True), "filters": [_hcm(manager)]}],
    }


def _connection_manager(settings: GatewaySettings, stat_prefix: str) -> dict[str, Any]:
    manager: dict[str, Any] = {
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "stream_idle_timeout": "60s",
        "request_timeout": "60s",
        "request_headers_timeout": "10s",
        "delayed_close_timeout": "1s",
        # A method that nobody knows is refused by the route, with what it allows, and not as a request that cannot be read.
        "http_protocol_options": {"allow_custom_methods": True},
        "common_http_protocol_options": {"idle_timeout": "120s", "headers_with_underscores_action": "REJECT_REQUEST"},
        "http2_protocol_options": {
            "max_concurrent_streams": 256,
            "initial_stream_window_size": 1_048_576,
            "initial_connection_window_size": 4_194_304,
        },
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": _TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": settings.access_log_path,
                    "log_format": {"json_format": _ACCESS_LOG},
                },
            }
        ],
    }
    if settings.otlp_host is not None and settings.otlp_port is not None:
        manager["tracing"] = {
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": _TYPE + "envoy.config.trace.v3.OpenTelemetryConfig",
                    "service_name": "weir-gateway",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "otlp"}, "timeout": "1s"},
                    "sampler": _sampler(settings.trace_sample_percent),
                },
            },
            # Every request is handed to the sampler below, which decides; Envoy's own draw would ignore the sender.
            "random_sampling": {"value": 100},
            "spawn_upstream_span": False,
            "custom_tags": [
                {"tag": "weir.tenant.id", "request_header": {"name": "x-weir-tenant"}},
                # Envoy's own tags of these names have the whole address, the client's words and its IP address in them.
                # Never empty, or Envoy leaves its own in place.
                {"tag": "http.url", "value": "route %ROUTE_NAME%"},
                {"tag": "user_agent", "literal": {"value": "withheld"}},
                {"tag": "peer.address", "literal": {"value": "withheld"}},
            ],
        }
    return manager


def _sampler(percent: float) -> dict[str, Any]:
    """A sender's sampled ``traceparent`` is followed; of the rest this share is sampled."""
    samplers = "envoy.extensions.tracers.opentelemetry.samplers.v3."
    ratio = {
        "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
        "typed_config": {
            "@type": _TYPE + samplers + "TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": {"numerator": round(percent * 10_000), "denominator": "MILLION"},
        },
    }
    return {
        "name": "envoy.tracers.opentelemetry.samplers.parent_based",
        "typed_config": {"@type": _TYPE + samplers + "ParentBasedSamplerConfig", "wrapped_sampler": ratio},
    }


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _strip_own_headers() -> dict[str, Any]:
    """What the gateway says of a caller, no caller may say himself."""
    return _filter(
        "envoy.filters.http.header_mutation",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        {"mutations": {"request_mutations": [{"remove": name} for name in _OWN_HEADERS]}},
    )


def _refuse_unread(settings: GatewaySettings) -> dict[str, Any]:
    """Before the credential check, which is the dearest part of a request that is refused anyway."""
    script = Path(__file__).with_name("refuse_unread.lua").read_text("utf-8")
    return _filter(
        "envoy.filters.http.lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        {"default_source_code": {"inline_string": script.replace("@MOST_PAUSES@", str(settings.max_tenants))}},
    )


def _jwt(settings: GatewaySettings) -> dict[str, Any]:
    """A bearer token must be valid; without one the credential check asks for an API key. Keys (``weir_…``) are no tokens."""
    return {
        "providers": {
            "tenant_admin": {
                "issuer": settings.jwt_issuer,
                "audiences": [settings.jwt_audience],
                "local_jwks": {"filename": str(settings.jwks_path)},
                "forward": True,
                "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
            }
        },
        "rules": [
            {
                "match": {
                    "prefix": "/api/v2/",
                    "headers": [{"name": "authorization", "string_match": {"prefix": "Bearer ey"}}],
                },
                "requires": {"provider_name": "tenant_admin"},
            }
        ],
    }


def _credential_check() -> dict[str, Any]:
    return {
        "transport_api_version": "V3",
        "clear_route_cache": False,
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "http_service": {
            "server_uri": {"uri": "http://credential-check", "cluster": "credential_check", "timeout": "2s"},
            "path_prefix": "/internal/authz",
            "authorization_response": {
                "allowed_upstream_headers": {
                    "patterns": [{"exact": name} for name in ("x-weir-tenant", "x-weir-principal", "x-weir-kind")]
                },
                "allowed_client_headers": {
                    "patterns": [{"exact": name} for name in ("content-type", "www-authenticate", "retry-after")]
                },
            },
        },
        "allowed_headers": {"patterns": [{"exact": "authorization"}, {"exact": "x-api-key"}, {"exact": "traceparent"}]},
    }


def _tenant_limit(settings: GatewaySettings) -> dict[str, Any]:
    bucket = {"max_tokens": settings.burst, "tokens_per_fill": settings.requests_per_second, "fill_interval": "1s"}
    return {
        "stat_prefix": "tenant_limit",
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "filter_enforced": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "response_headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
        # What has no tenant (a refused credential does not come this far) shares one wide bucket.
        "token_bucket": {
            **bucket,
            "max_tokens": settings.burst * 10,
            "tokens_per_fill": settings.requests_per_second * 10,
        },
        "max_dynamic_descriptors": settings.max_tenants,
        "descriptors": [{"entries": [{"key": "tenant"}], "token_bucket": bucket}],
        "rate_limits": [
            {"actions": [{"request_headers": {"header_name": "x-weir-tenant", "descriptor_key": "tenant"}}]}
        ],
    }


def _problem_replies() -> dict[str, Any]:
    """What Envoy answers by itself is problem+json, too."""
    kinds = {
        400: ("bad-request", "The request cannot be read"),
        401: ("unauthenticated", "Who is calling is not known"),
        403: ("forbidden", "The caller may not do this"),
        404: ("not-found", "There is no such thing"),
        405: ("method-not-allowed", "No resource has this method"),
        408: ("timeout", "The request did not arrive in time"),
        413: ("payload-too-large", "The body is larger than allowed"),
        426: ("upgrade-required", "Another protocol is needed"),
        429: ("too-many-requests", "The quota is used up"),
        431: ("headers-too-large", "The headers are larger than allowed"),
        502: ("unavailable", "A part that this needs does not answer now"),
        503: ("unavailable", "A part that this needs does not answer now"),
        504: ("unavailable", "A part that this needs did not answer in time"),
    }
    refused = {
        "filter": {
            "and_filter": {
                "filters": [
                    {"response_flag_filter": {"flags": ["UAEX"]}},
                    _status_filter("LE", 499, "refused_below"),
                ]
            }
        },
        # The credential check answers with a problem document of its own.
        "body_format_override": {
            "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"},
            "content_type": _PROBLEM,
        },
    }
    return {
        "mappers": [
            refused,
            *(
                {
                    "filter": _status_filter("EQ", code, f"reply_{code}"),
                    "body_format_override": {
                        "json_format": {
                            "type": f"https://weir.example/problems/{slug}",
                            "title": title,
                            "status": code,
                            "detail": "%LOCAL_REPLY_BODY%",
                            "instance": "%PATH(NQ:ORIG_OR_PATH)%",
                            "request_id": "%REQ(X-REQUEST-ID)%",
                        },
                        # Of a request that cannot be read there is neither path nor id: left out, not null.
                        "omit_empty_values": True,
                        "content_type": _PROBLEM,
                    },
                }
                for code, (slug, title) in kinds.items()
            ),
        ]
    }


def _status_filter(operator: str, code: int, key: str) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": key}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _public_routes(settings: GatewaySettings) -> list[dict[str, Any]]:
    routes = [_other_methods(), *(_route(route) for route in ROUTES)]
    for service in SERVICES:
        name = service.replace("_", "-")
        pages = (f"/docs/{name}", f"/docs/{name}/swagger-ui-bundle.js", f"/docs/{name}/swagger-ui.css")
        for path in (*pages, f"/openapi/{name}.json"):
            routes.append(_route(Route(path, service, 5, retry=True, exact=True, anonymous=True)))
    # Internal paths (health, metrics, the credential check itself) are not served to the outside: no route, so 404.
    return routes


def _no_credential_check() -> dict[str, Any]:
    """For ``typed_per_filter_config``."""
    return {
        "envoy.filters.http.ext_authz": {
            "@type": _TYPE + "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "disabled": True,
        }
    }


def _other_methods() -> dict[str, Any]:
    """What no resource here answers is not sent on: the services' HTTP parser calls a method that it never heard of unreadable."""
    known = {"safe_regex": {"regex": "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE"}}
    return {
        "name": "/",
        "match": {
            "prefix": "/",
            "headers": [{"name": ":method", "string_match": known, "invert_match": True}],
        },
        "direct_response": {"status": 405},
        "response_headers_to_add": [{"header": {"key": "allow", "value": "GET, POST, DELETE"}}],
        "typed_per_filter_config": _no_credential_check(),
    }


def _route(route: Route) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": route.service, "timeout": f"{route.timeout_seconds:g}s"}
    action["retry_policy"] = (
        {
            "retry_on": "connect-failure,refused-stream,reset-before-request,gateway-error",
            "num_retries": 2,
            "per_try_timeout": f"{route.timeout_seconds / 2:g}s",
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        }
        if route.retry
        else {
            "retry_on": "connect-failure,refused-stream",
            "num_retries": 1,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        }
    )
    match = {"path": route.prefix} if route.exact else {"prefix": route.prefix}
    # The name is what logs and traces call it.
    rendered: dict[str, Any] = {"name": route.prefix, "match": match, "route": action}
    if route.anonymous:
        rendered["typed_per_filter_config"] = _no_credential_check()
    return rendered


# ── clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clusters(settings: GatewaySettings) -> list[dict[str, Any]]:
    clusters: list[dict[str, Any]] = []
    for service in SERVICES:
        upstream: Upstream = getattr(settings, service)
        clusters.append(_cluster(service, [(upstream.host, upstream.http_port)], http2=False))
        clusters.append(_cluster(f"{service}_grpc", [(upstream.host, upstream.grpc_port)], http2=True))
    # Either answers the credential check, so that the loss of one refuses nobody. tenant-admin first: it has nothing else to do when
    # ingest is busy with large batches, behind which a shopper's check would wait.
    check = _cluster(
        "credential_check",
        [
            (settings.tenant_admin.host, settings.tenant_admin.http_port),
            (settings.ingest.host, settings.ingest.http_port),
        ],
        http2=False,
        in_turn=True,
    )
    check["health_checks"] = [
        {
            "timeout": "1s",
            "interval": "2s",
            "no_traffic_interval": "2s",
            "unhealthy_threshold": 1,
            "healthy_threshold": 1,
            "http_health_check": {"path": "/readyz"},
        }
    ]
    clusters.append(check)
    if settings.otlp_host is not None and settings.otlp_port is not None:
        clusters.append(_cluster("otlp", [(settings.otlp_host, settings.otlp_port)], http2=True))
    return clusters


def _cluster(name: str, endpoints: list[tuple[str, int]], *, http2: bool, in_turn: bool = False) -> dict[str, Any]:
    """``in_turn``: each endpoint only while those before it are not healthy."""
    protocol: dict[str, Any] = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 1_024, "max_pending_requests": 1_024, "max_requests": 4_096, "max_retries": 16}
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                # Below the services' keep-alive of 75 s: the gateway closes first, so no request meets a closing connection.
                "common_http_protocol_options": {"idle_timeout": "60s"},
                "explicit_http_config": protocol,
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "priority": number if in_turn else 0,
                    "lb_endpoints": [{"endpoint": {"address": _address(host, port)}}],
                }
                for number, (host, port) in enumerate(endpoints)
            ],
        },
    }


# ── small parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _filter(name: str, type_: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": _TYPE + type_, **config}}


def _hcm(manager: dict[str, Any]) -> dict[str, Any]:
    return _filter(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )


def _downstream_tls(settings: GatewaySettings, *, mutual: bool) -> dict[str, Any]:
    context: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(settings.certificate_path)},
                "private_key": {"filename": str(settings.private_key_path)},
            }
        ],
    }
    if mutual:
        context["validation_context"] = {"trusted_ca": {"filename": str(settings.client_ca_path)}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TYPE + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
            "require_client_certificate": mutual,
        },
    }
