"""The objects of one tenant's consumers in Kubernetes, as the documents that server-side apply takes.

Pure. Each holds exactly the fields that tenant-admin wants to own; ``replicas`` is not among them, the autoscaler owns it.
Shape and values: tenancy design, section b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weir_common.ids import TenantId

from weir_tenant_admin.domain.cluster_names import METRIC, SERVICE_LABEL, TENANT_LABEL, namespace_of, workload_of

_UP_PERIOD_SECONDS = 30
"""A new consumer costs a rebalance: no oftener than this."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whose consumers of which service, and between which bounds the autoscaler may move."""

    tenant_id: TenantId
    service: str
    minimum: int
    maximum: int

    @property
    def namespace(self) -> str:
        """Of the tenant."""
        return namespace_of(self.tenant_id)

    @property
    def name(self) -> str:
        """Of the Deployment and of the autoscaler."""
        return workload_of(self.service)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a workload runs and how fast it shrinks. ``image`` may hold ``{service}``."""

    image: str
    scale_down_window_seconds: int
    step_period_seconds: int


def namespace(target: Target) -> dict[str, Any]:
    """The tenant's namespace; pods that are not restricted are refused there."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": target.namespace,
            "labels": {
                TENANT_LABEL: target.tenant_id,
                "pod-security.kubernetes.io/enforce": "restricted",
                "app.kubernetes.io/part-of": "weir",
            },
        },
    }


def deployment(target: Target, manner: Manner) -> dict[str, Any]:
    """The consumers. Without ``replicas``: it starts with one, and the autoscaler goes on from there."""
    selector = {"app.kubernetes.io/name": target.name, TENANT_LABEL: target.tenant_id}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(target),
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": {**selector, SERVICE_LABEL: target.service}},
                "spec": {
                    "automountServiceAccountToken": False,
                    # Or a Service's own variables (WEIR_…_PORT) could be taken for settings.
                    "enableServiceLinks": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "consumer",
                            "image": manner.image.format(service=target.service),
                            "env": [{"name": "WEIR_TENANT_ID", "value": target.tenant_id}],
                            # Memory is not lent: request and limit are one. CPU is: a limit would only throttle.
                            "resources": {
                                "requests": {"cpu": "250m", "memory": "512Mi"},
                                "limits": {"memory": "512Mi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - of the pod's own
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}],
                },
            },
        },
    }


def autoscaler(target: Target, manner: Manner) -> dict[str, Any]:
    """Follows the metric one to one. ``AverageValue``, never ``Value``: that multiplies for ever on a level such as lag."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(target),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name},
            "minReplicas": target.minimum,
            "maxReplicas": target.maximum,
            "metrics": [
                {
                    "type": "External",
                    "external": {
                        "metric": {
                            "name": METRIC,
                            "selector": {"matchLabels": {"tenant": target.tenant_id, "service": target.service}},
                        },
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                }
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [
                        {"type": "Percent", "value": 100, "periodSeconds": _UP_PERIOD_SECONDS},
                        {"type": "Pods", "value": 4, "periodSeconds": _UP_PERIOD_SECONDS},
                    ],
                    # The usual tenth would hide 10 → 11.
                    "tolerance": "0",
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": manner.scale_down_window_seconds,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Percent", "value": 50, "periodSeconds": manner.step_period_seconds}],
                    "tolerance": "0",
                },
            },
        },
    }


def _metadata(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "namespace": target.namespace,
        "labels": {
            "app.kubernetes.io/name": target.name,
            "app.kubernetes.io/part-of": "weir",
            TENANT_LABEL: target.tenant_id,
            SERVICE_LABEL: target.service,
        },
    }
