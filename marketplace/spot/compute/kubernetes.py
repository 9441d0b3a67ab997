"""A node that is a Kubernetes cluster, or the part of one that a node selector names: a pod a lease.

`pod_manifest` is the whole of what is asked for, within the Pod Security Standard `restricted`; nothing of it but
image, words, variables, cpu, memory and grace comes from the tenant. A pod's name is its owner and lease, so the API
server itself refuses a second one, and it is never restarted.

To stop a pod is to delete it: the kubelet sends SIGTERM, waits, and kills. A pod that is deleted takes its exit code
with it, unless somebody holds on to it: each carries a finalizer of ours, taken off by `remove`. (Its log is gone as
soon as a deleted pod has ended.) Kubernetes knows no limit of processes a pod: that is the kubelet's `podPidsLimit`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import httpx2
import msgspec
import yaml
from lightkube import AsyncClient, KubeConfig, operators
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.models.core_v1 import ContainerStateTerminated
from lightkube.resources.core_v1 import Node, Pod, ResourceQuota
from lightkube.types import PatchType
from lightkube.utils.quantity import parse_quantity
from msgspec import Meta

from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.spot.compute.errors import BadSettings, Unavailable
from marketplace.spot.compute.model import (
    LEASE_LABEL,
    MAX_LOG_LINES,
    NOBODY,
    OWNER_LABEL,
    Capacity,
    Container,
    Spec,
    name_of,
    tail,
)

FINALIZER = "spot.marketplace/outcome"

_MIB = 1 << 20
_PAGE = 500
_HOPELESS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
"""What a container waits for in vain. The kubelet goes on trying; another node is the better try."""

Limit = Annotated[int, Meta(ge=1, le=10**9)]


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """As in a pod's spec."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cluster, or a part of it. Without `kubeconfig` the pod's own service account, or the user's file."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    runtime_class: str | None = None
    quota: str | None = None
    """A ResourceQuota of the namespace, whose limits are the capacity; else it is that of the selected nodes."""
    cpu_millis: Limit | None = None
    """Offer no more than this; a sum over many nodes promises more than fits on any one of them."""
    memory_mib: Limit | None = None
    scratch_mib: Annotated[int, Meta(ge=1, le=65_536)] = 64
    """Size of /tmp; it counts as the container's memory."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=3_600)] = 10


async def connect(owner: str, settings: Mapping[str, Any]) -> Kubernetes:
    """Return a node that is a cluster; it need not answer yet. Raises BadSettings."""
    checked = msgspec.convert(settings, Settings)
    try:
        found = KubeConfig.from_file(checked.kubeconfig) if checked.kubeconfig else KubeConfig.from_env()
        config = found.get(checked.context)
        timeout = httpx2.Timeout(checked.timeout_seconds)
        client = AsyncClient(config, namespace=checked.namespace, timeout=timeout)
    except (ConfigError, OSError, KeyError, TypeError, msgspec.MsgspecError, yaml.YAMLError) as error:
        raise BadSettings(f"The kubeconfig cannot be used: {error}.") from error
    return Kubernetes(owner, checked, client)


class Kubernetes:
    """See Backend."""

    def __init__(self, owner: str, settings: Settings, client: AsyncClient) -> None:
        self._owner = owner
        self._settings = settings
        self._client = client

    async def start(self, spec: Spec) -> Container:
        pod = msgspec.convert(pod_manifest(spec, self._owner, self._settings), Pod)
        with _answering():
            try:
                return observe(await self._client.create(pod))
            except ApiError as refused:
                if refused.status.reason == "AlreadyExists":
                    found = await self._find(spec.lease_id)
                    return observe(found) if found else _failed(spec.lease_id, "a pod of this name is not ours")
                if refused.status.code in (400, 403, 404, 422):
                    return _failed(spec.lease_id, refused.status.message)
                raise

    async def stop(self, lease_id: str, *, grace_seconds: int) -> None:
        with _answering():
            found = await self._find(lease_id)
            if found is not None and observe(found).state in ("starting", "running"):
                await self._delete(lease_id, grace_seconds)

    async def remove(self, lease_id: str) -> None:
        with _answering():
            if await self._find(lease_id) is not None:
                await self._delete(lease_id, grace_seconds=0)
                let_go = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
                with _unless_gone():
                    await self._client.patch(Pod, self._name(lease_id), let_go, patch_type=PatchType.STRATEGIC)

    async def inspect(self, lease_id: str) -> Container | None:
        with _answering():
            found = await self._find(lease_id)
        return observe(found) if found else None

    async def containers(self) -> list[Container]:
        with _answering():
            pods = self._client.list(
                Pod, labels={OWNER_LABEL: self._owner, LEASE_LABEL: operators.exists()}, chunk_size=_PAGE
            )
            return sorted([observe(pod) async for pod in pods], key=lambda seen: seen.lease_id)

    async def logs(self, lease_id: str, *, lines: int = 100) -> str | None:
        with _answering():
            if await self._find(lease_id) is None:
                return None
            most = min(max(lines, 1), MAX_LOG_LINES)
            try:
                return tail(
                    "".join([line async for line in self._client.log(self._name(lease_id), tail_lines=most)]), lines
                )
            except ApiError as refused:
                if refused.status.code in (400, 404):  # it has not started, or the kubelet has thrown its log away
                    return ""
                raise

    async def capacity(self) -> Capacity:
        with _answering():
            if self._settings.quota:
                quota = await self._client.get(ResourceQuota, self._settings.quota)
                found = capacity_of_quota((quota.spec and quota.spec.hard) or {})
            else:
                nodes = self._client.list(Node, labels=dict(self._settings.node_selector), chunk_size=_PAGE)
                found = capacity_of_nodes([node async for node in nodes], self._settings.tolerations)
        return Capacity(
            min(found.cpu_millis, self._settings.cpu_millis or found.cpu_millis),
            min(found.memory_mib, self._settings.memory_mib or found.memory_mib),
        )

    async def close(self) -> None:
        await self._client.close()

    async def _find(self, lease_id: str) -> Pod | None:
        """Return a lease's pod, None where there is none or its name is somebody else's."""
        try:
            pod = await self._client.get(Pod, self._name(lease_id))
        except ApiError as error:
            if error.status.code != 404:
                raise
            return None
        labels = (pod.metadata and pod.metadata.labels) or {}
        is_ours = (labels.get(OWNER_LABEL), labels.get(LEASE_LABEL)) == (self._owner, lease_id)
        return pod if is_ours else None

    async def _delete(self, lease_id: str, grace_seconds: int) -> None:
        """Delete a pod; asked again, the API server lets the grace only become shorter.

        A grace of 0 would not mean at once: it would mean that nobody waits for the kubelet to say that it has ended.
        """
        with _unless_gone():
            await self._client.delete(Pod, self._name(lease_id), grace_period=max(grace_seconds, 1))

    def _name(self, lease_id: str) -> str:
        return name_of(self._owner, lease_id)


def pod_manifest(spec: Spec, owner: str, settings: Settings) -> dict[str, Any]:
    """Return all that the API server is asked for. Pure.

    Requests equal limits, so that a lease neither takes from its neighbours nor is the first to be evicted.
    """
    resources = {"cpu": f"{spec.cpu_millis}m", "memory": f"{spec.memory_mib}Mi"}
    container: dict[str, Any] = {
        "name": "lease",
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": _literally(value)} for name, value in spec.environment.items()],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 (the container's own)
        "stdin": False,
        "tty": False,
    }
    if spec.command:
        container["command"] = [_literally(word) for word in spec.command]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": spec.grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": f"{settings.scratch_mib}Mi"}}],
        "nodeSelector": dict(settings.node_selector),
        "tolerations": list(msgspec.to_builtins(settings.tolerations)),
    }
    if settings.runtime_class:
        pod["runtimeClassName"] = settings.runtime_class
    labels = {OWNER_LABEL: owner, LEASE_LABEL: spec.lease_id}
    metadata = {"name": name_of(owner, spec.lease_id), "labels": labels, "finalizers": [FINALIZER]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


def observe(pod: Pod) -> Container:
    """Return what a pod says of its one container. Pure."""
    assert pod.metadata is not None
    assert pod.metadata.labels is not None
    status = pod.status
    states = [container.state for container in (status and status.containerStatuses) or [] if container.state]
    seen = Container(lease_id=pod.metadata.labels[LEASE_LABEL], reference=pod.metadata.uid or "", state="starting")
    about_pod = _sentence(status.reason, status.message) if status else ""
    if states and states[0].terminated:
        return _observe_end(seen, states[0].terminated, about_pod)
    if states and states[0].running:
        return msgspec.structs.replace(seen, state="running", started_at=_instant(states[0].running.startedAt))
    waiting = states[0].waiting if states else None
    if waiting and waiting.reason in _HOPELESS:
        return _replace_failed(seen, _sentence(waiting.reason, waiting.message))
    if status and status.phase == "Failed":
        return _replace_failed(seen, about_pod or "the pod failed")
    if pod.metadata.deletionTimestamp and not (pod.spec and pod.spec.nodeName):
        return _replace_failed(seen, "stopped before it ran")
    return seen


def _observe_end(seen: Container, end: ContainerStateTerminated, about_pod: str) -> Container:
    """A container that could not be run has terminated too, and says that it started never, or in 1970."""
    reason = _sentence(about_pod, end.reason, end.message)
    started_at = _instant(end.startedAt)
    if not started_at:
        return _replace_failed(seen, reason)
    return msgspec.structs.replace(
        seen,
        state="exited",
        started_at=started_at,
        finished_at=_instant(end.finishedAt),
        exit_code=end.exitCode,
        out_of_memory=end.reason == "OOMKilled",
        reason=reason,
    )


def capacity_of_nodes(nodes: Iterable[Node], tolerations: Iterable[Toleration]) -> Capacity:
    """Return what nodes can hold together: those that are ready and take our pods. Pure."""
    usable = [node.status for node in nodes if _takes_pods(node, tuple(tolerations)) and node.status]
    return Capacity(
        _floor(sum(_amount((status.allocatable or {}).get("cpu", "0")) for status in usable), Decimal("0.001")),
        _floor(sum(_amount((status.allocatable or {}).get("memory", "0")) for status in usable), Decimal(_MIB)),
    )


def capacity_of_quota(hard: Mapping[str, str]) -> Capacity:
    """Return what a quota allows: requests equal limits here, so the smaller of both holds. Pure."""

    def allowed(resource: str) -> Decimal:
        amounts = [
            _amount(hard[name]) for name in (f"limits.{resource}", f"requests.{resource}", resource) if name in hard
        ]
        return min(amounts, default=Decimal(0))

    return Capacity(_floor(allowed("cpu"), Decimal("0.001")), _floor(allowed("memory"), Decimal(_MIB)))


def _takes_pods(node: Node, tolerations: tuple[Toleration, ...]) -> bool:
    spec, status = node.spec, node.status
    is_ready = any(it.type == "Ready" and it.status == "True" for it in (status and status.conditions) or [])
    taints = [taint for taint in (spec and spec.taints) or [] if taint.effect != "PreferNoSchedule"]
    is_tolerated = all(
        any(
            it.key in (None, taint.key)
            and it.effect in (None, taint.effect)
            and (it.operator == "Exists" or (it.key == taint.key and (it.value or "") == (taint.value or "")))
            for it in tolerations
        )
        for taint in taints
    )
    return is_ready and is_tolerated and not (spec and spec.unschedulable)


def _literally(text: str) -> str:
    """Return a text that the kubelet leaves alone: it would put variables in the place of $(NAME)."""
    return text.replace("$", "$$")


def _failed(lease_id: str, reason: str | None) -> Container:
    return Container(lease_id=lease_id, reference="", state="failed", reason=reason or "")


def _replace_failed(seen: Container, reason: str) -> Container:
    return Container(lease_id=seen.lease_id, reference=seen.reference, state="failed", reason=reason)


def _sentence(*parts: str | None) -> str:
    return ": ".join(filter(None, parts))


def _amount(quantity: str) -> Decimal:
    return parse_quantity(quantity) or Decimal(0)


def _floor(amount: Decimal | int, unit: Decimal) -> int:
    return int(amount // unit)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else clock.from_datetime(moment)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Say in our words that the API server did not answer, or could not do as it was asked."""
    try:
        yield
    except (httpx2.HTTPError, msgspec.MsgspecError) as error:  # ApiError is one too
        raise Unavailable(f"Kubernetes: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Pass over that a pod is not there."""
    try:
        yield
    except ApiError as error:
        if error.status.code != 404:
            raise
