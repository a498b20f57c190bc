"""Tenants' Deployments and autoscalers through the Kubernetes API, by server-side apply that never forces.

The client is blocking: calls run in threads, each with a time-out of its own and without the client's retries, which would
multiply it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes
import urllib3

from weir_tenant_admin.domain.cluster_names import FIELD_MANAGER
from weir_tenant_admin.domain.manifests import Manner, Target, autoscaler, deployment, namespace
from weir_tenant_admin.errors import AdmissionDenied, ApplyConflict, ControlPlaneUnavailable
from weir_tenant_admin.ports import Follows, Preview, Snapshot

_APPLY = "application/apply-patch+yaml"
_COLLECTIONS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}",
    "Namespace": "/api/v1/namespaces/{name}",
}


class _Absent(Exception):
    """404."""


class KubernetesCluster:
    """``Cluster``, and what the health probe asks."""

    def __init__(self, kubeconfig: Path, manner: Manner, timeout_seconds: float) -> None:
        self._kubeconfig = kubeconfig
        self._manner = manner
        self._timeout = timeout_seconds
        self._client: Any = None

    async def version(self) -> str:
        """Asks /readyz first; the server's version."""
        await self._call("GET", "/readyz")
        return str(json.loads(await self._call("GET", "/version"))["gitVersion"])

    async def snapshot(self, target: Target) -> Snapshot:
        """What is there."""
        running = await self._get(deployment(target, self._manner))
        follower = await self._get(autoscaler(target, self._manner))
        return Snapshot(
            replicas=running["spec"].get("replicas", 0) if running is not None else None,
            minimum=follower["spec"].get("minReplicas", 1) if follower is not None else None,
            maximum=follower["spec"]["maxReplicas"] if follower is not None else None,
        )

    async def preview(self, target: Target) -> Sequence[Preview]:
        """One verdict an object. In a namespace that is not there yet nothing can be tried."""
        previews: list[Preview] = []
        for manifest in (
            namespace(target),
            deployment(target, self._manner),
            autoscaler(target, self._manner),
        ):
            before = await self._get(manifest)
            try:
                after = await self._patch(manifest, dry_run=True)
            except (ApplyConflict, AdmissionDenied) as error:
                reason = error.message if isinstance(error, ApplyConflict) else error.reason
                previews.append(Preview(_ref(manifest), "denied", reason))
            except _Absent:
                previews.append(Preview(_ref(manifest), "not tried", "its namespace does not exist yet"))
            else:
                old = before.get("spec", {}) if before is not None else {}
                changes = tuple(_changes(old, after.get("spec", {}), ""))
                previews.append(Preview(_ref(manifest), "allowed", "" if before is not None else "new", changes))
        return previews

    async def apply(self, target: Target) -> None:
        """Namespace first; then both objects are tried before either is changed."""
        try:
            await self._patch(namespace(target), dry_run=False)
            manifests = [deployment(target, self._manner), autoscaler(target, self._manner)]
            for dry_run in (True, False):
                for manifest in manifests:
                    await self._patch(manifest, dry_run=dry_run)
        except _Absent as error:
            # Somebody deletes the namespace at this moment.
            raise ControlPlaneUnavailable(f"{target.namespace} is gone: {error}") from error

    async def follows(self, target: Target) -> Follows:
        """Acted: the controller has seen this very generation, could read the metric, and set the replicas it wanted."""
        running = await self._get(deployment(target, self._manner))
        follower = await self._get(autoscaler(target, self._manner))
        if running is None or follower is None:
            return Follows(acted=False, replicas=0, reason="the objects are gone")
        replicas = int(running["spec"].get("replicas", 0))
        status = follower.get("status", {})
        if status.get("observedGeneration", 0) < follower["metadata"]["generation"]:
            return Follows(acted=False, replicas=replicas, reason="the controller has not looked at it yet")
        conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
        active = conditions.get("ScalingActive", {"status": "Unknown", "reason": "NoCondition"})
        if active["status"] != "True":
            return Follows(acted=False, replicas=replicas, reason=str(active["reason"]))
        wanted = status.get("desiredReplicas", 0)
        if wanted != replicas:
            return Follows(acted=False, replicas=replicas, reason=f"{wanted} replicas are wanted, {replicas} asked for")
        return Follows(acted=True, replicas=replicas, reason=str(active["reason"]))

    async def restore(self, target: Target, before: Snapshot) -> None:
        """Autoscaler first, so that it does not look for a Deployment that is gone."""
        if not before.has_autoscaler:
            await self._delete(autoscaler(target, self._manner))
        elif before.minimum is not None and before.maximum is not None:
            now = await self.snapshot(target)
            if (now.minimum, now.maximum) != (before.minimum, before.maximum):
                former = Target(target.tenant_id, target.service, before.minimum, before.maximum)
                try:
                    await self._patch(autoscaler(former, self._manner), dry_run=False)
                except _Absent as error:
                    raise ControlPlaneUnavailable(f"{target.namespace} is gone: {error}") from error
        if not before.has_deployment:
            await self._delete(deployment(target, self._manner))

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _get(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return _object(await self._call("GET", _path(manifest), ref=_ref(manifest)))
        except _Absent:
            return None

    async def _patch(self, manifest: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict"), ("force", "false")]
        if dry_run:
            query.append(("dryRun", "All"))
        return _object(await self._call("PATCH", _path(manifest), query=query, body=manifest, ref=_ref(manifest)))

    async def _delete(self, manifest: dict[str, Any]) -> None:
        try:
            await self._call("DELETE", _path(manifest), query=[("propagationPolicy", "Background")], ref=_ref(manifest))
        except _Absent:
            return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: dict[str, Any] | None = None,
        ref: str = "",
    ) -> bytes:
        # The thread ends by its own time-out; ours is for a call that waits for a free thread.
        try:
            async with asyncio.timeout(2 * self._timeout):
                return await asyncio.to_thread(self._blocking_call, method, path, list(query), body, ref or path)
        except TimeoutError as error:
            raise ControlPlaneUnavailable(f"no answer to {method} {path} in {2 * self._timeout:.0f} s") from error

    def _blocking_call(
        self, method: str, path: str, query: list[tuple[str, str]], body: dict[str, Any] | None, ref: str
    ) -> bytes:
        if self._client is None:
            self._client = _connect(self._kubeconfig)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = _APPLY
        request = self._client.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=self._timeout)
            data: bytes = answer.read() or b""
        except (urllib3.exceptions.HTTPError, kubernetes.client.ApiException, OSError) as error:
            raise ControlPlaneUnavailable(f"{method} {path}: {type(error).__name__}") from error
        _check(answer.status, data, ref)
        return data


def _connect(kubeconfig: Path) -> Any:
    configuration = kubernetes.client.Configuration()
    configuration.retries = urllib3.Retry(0)
    try:
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    except (OSError, kubernetes.config.ConfigException) as error:
        raise ControlPlaneUnavailable(f"{kubeconfig} cannot be used: {error}") from error
    return kubernetes.client.ApiClient(configuration)


def _check(status: int, data: bytes, ref: str) -> None:
    """What an answer's status means for us."""
    if status < 400:
        return
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    message = str(document.get("message") or data[:200].decode(errors="replace"))
    causes = (document.get("details") or {}).get("causes") or []
    if status == 404:
        raise _Absent(message)
    if status == 409:
        conflicts = [
            (str(cause.get("message", "")), str(cause.get("field", "")))
            for cause in causes
            if cause.get("reason") == "FieldManagerConflict"
        ]
        if conflicts:
            raise ApplyConflict(ref, conflicts, message)
        # Another write came between; trying again is right.
        raise ControlPlaneUnavailable(f"{ref}: {message}")
    if status in (400, 401, 403, 405, 413, 415, 422):
        raise AdmissionDenied(ref, message)
    raise ControlPlaneUnavailable(f"{ref}: {status} {message}")


def _object(data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    return document


def _path(manifest: dict[str, Any]) -> str:
    return _COLLECTIONS[manifest["kind"]].format(**manifest["metadata"])


def _ref(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    where = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {where}{metadata['name']}"


def _changes(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Leaves that differ, by JSON pointer; None stands for absent."""
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = before if isinstance(before, dict) else {}, after if isinstance(after, dict) else {}
        for name in sorted(old.keys() | new.keys()):
            escaped = name.replace("~", "~0").replace("/", "~1")
            yield from _changes(old.get(name), new.get(name), f"{path}/{escaped}")
    elif before != after:
        yield path, before, after
