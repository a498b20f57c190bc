"""``python -m weir_gateway``: print Envoy's configuration for the settings in ``WEIR_GATEWAY_*``."""

from __future__ import annotations

import sys

from weir_gateway.render import render
from weir_gateway.settings import GatewaySettings

if __name__ == "__main__":
    sys.stdout.write(render(GatewaySettings()))  # the values come from the environment
