"""The Kubernetes control plane without nodes: enough for server-side apply, admission, and a real HPA loop."""

from weir_local.kubernetes.components import control_plane

__all__ = ["control_plane"]
