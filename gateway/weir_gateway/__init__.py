"""The API gateway: Envoy's configuration, rendered from settings."""

from weir_gateway.render import render
from weir_gateway.settings import GatewaySettings, Upstream

__all__ = ["GatewaySettings", "Upstream", "render"]
