"""What a tenant's objects are called in Kubernetes. Pure, so that the metrics server and the manifests cannot disagree."""

from __future__ import annotations

import hashlib
import re

from weir_common.ids import TenantId

METRIC = "weir_required_replicas"
FIELD_MANAGER = "weir-tenant-admin"
TENANT_LABEL = "weir.example/tenant"
SERVICE_LABEL = "weir.example/service"

_STEM_LENGTH = 40
_LABEL_VALUE = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")


def namespace_of(tenant_id: TenantId) -> str:
    """A tenant's namespace. A name has no underscores and 63 characters; the hash keeps ``a_b`` apart from ``a-b``."""
    stem = tenant_id.replace("_", "-")[:_STEM_LENGTH].strip("-")
    return f"weir-{stem}-{hashlib.sha256(tenant_id.encode()).hexdigest()[:8]}"


def workload_of(service: str) -> str:
    """The Deployment of a service's consumers, and its HorizontalPodAutoscaler."""
    return f"weir-{service}"


def is_label_value(tenant_id: TenantId) -> bool:
    """Whether the id can be a label's value; one that ends with ``-`` or ``_`` cannot."""
    return _LABEL_VALUE.fullmatch(tenant_id) is not None
