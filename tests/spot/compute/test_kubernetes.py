"""What only a cluster can show: capacity of nodes and quotas, finalizers, the kubelet's expansion, errors of an API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod

from marketplace.spot.compute import Backend, BadSettings, Capacity, Unavailable, connect, kubernetes
from marketplace.spot.compute.kubernetes import Settings, pod_manifest
from tests.services import kubernetes as service
from tests.services.children import free_port
from tests.spot.compute.worlds import RealWorld, Watcher, expect_unavailable, make_spec


@pytest.fixture
async def backend(kubernetes_world: RealWorld) -> AsyncIterator[Backend]:
    connected = await kubernetes_world.connect()
    yield connected
    await connected.close()


@pytest.fixture
def watch(kubernetes_world: RealWorld, backend: Backend) -> Watcher:
    return Watcher(kubernetes_world, backend)


async def connect_to(cluster: service.Cluster, **settings: Any) -> Backend:
    return await connect("kubernetes", "town", {"kubeconfig": str(cluster.write_kubeconfig()), **settings})


def manifest(lease_id: str = "lease-1", owner: str = "town", **settings: Any) -> dict[str, Any]:
    return pod_manifest(make_spec({"lease_id": lease_id, "image": service.IMAGE}), owner, Settings(**settings))


# ── pods ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_of_a_manifest_is_lost_on_the_way_through_the_clients_models() -> None:
    toleration = kubernetes.Toleration(key="spot", operator="Exists", effect="NoSchedule")
    sent = manifest(node_selector={"pool": "a"}, tolerations=(toleration,), runtime_class="gvisor")
    assert msgspec.to_builtins(msgspec.convert(sent, Pod)) == sent


async def test_words_and_variables_arrive_as_they_are(backend: Backend, watch: Watcher) -> None:
    words = ("$(id)", "$HOME", "$(NAME)", "$$(NAME)", "$", "`id`", "; exit 9", "* ~", "a\\nb", "'\"", "--", "é☃")
    environment = {"NAME": "$(id) `id` $PATH $(HOME)"}
    command = ("sh", "-c", 'printf "<%s>\\n" "$@" "$NAME"', "sh", *words)
    fields = {"lease_id": "lease-1", "image": service.IMAGE, "command": command, "environment": environment}
    await backend.start(make_spec(fields))
    await watch.until("lease-1", "exited")
    said = await backend.logs("lease-1") or ""
    assert said == "".join(f"<{word}>\n" for word in (*words, environment["NAME"]))


async def test_a_pod_that_no_node_takes_waits_and_can_be_stopped(cluster: service.Cluster, watch: Watcher) -> None:
    picky = await connect_to(cluster, node_selector={"kubernetes.io/hostname": "node-9"})
    await picky.start(make_spec({"lease_id": "lease-1", "image": service.IMAGE}))
    await watch.until("lease-1", "starting")
    await picky.stop("lease-1", grace_seconds=100)
    failed = await watch.until("lease-1", "failed")
    assert failed.reason == "stopped before it ran"
    await picky.remove("lease-1")
    await watch.until_gone("lease-1")
    await picky.close()


async def test_a_pod_of_that_name_that_is_not_ours_is_left_alone(cluster: service.Cluster, backend: Backend) -> None:
    theirs = manifest()
    theirs["metadata"]["labels"] = {"app": "database"}
    cluster.create(theirs)
    half = manifest("lease-2")
    del half["metadata"]["labels"]["marketplace.lease"]
    cluster.create(half)
    failed = await backend.start(make_spec({"lease_id": "lease-1", "image": service.IMAGE}))
    assert (failed.state, "not ours" in failed.reason) == ("failed", True)
    await backend.stop("lease-1", grace_seconds=0)
    await backend.remove("lease-1")
    assert (await backend.inspect("lease-1"), await backend.containers()) == (None, [])
    assert "deletionTimestamp" not in cluster.get("town-lease-1")["metadata"]


async def test_removing_takes_off_our_finalizer_and_nobody_elses(cluster: service.Cluster, backend: Backend) -> None:
    watched = manifest()
    watched["metadata"]["finalizers"].append("example.org/auditor")
    cluster.create(watched)
    await backend.remove("lease-1")
    left = cluster.get("town-lease-1")["metadata"]
    assert left["finalizers"] == ["example.org/auditor"]
    assert "deletionTimestamp" in left


async def test_what_the_api_server_refuses_is_a_failure_with_its_reason(
    cluster: service.Cluster, monkeypatch: pytest.MonkeyPatch, backend: Backend
) -> None:
    message = 'pods "town-lease-1" is forbidden: exceeded quota: leases'

    def refuse(pod: object) -> None:
        raise service.Refused(403, "Forbidden", message)

    monkeypatch.setattr(cluster, "create", refuse)
    failed = await backend.start(make_spec({"lease_id": "lease-1", "image": service.IMAGE}))
    assert (failed.state, failed.reason) == ("failed", message)


async def test_lists_come_in_pages_and_one_that_grows_old_is_asked_for_again(
    cluster: service.Cluster, backend: Backend
) -> None:
    for number in range(1_100):
        cluster.create(manifest(f"lease-{number:04}", node_selector={"none": "such"}))
    cluster.create(manifest("lease-1", "village", node_selector={"none": "such"}))
    assert [seen.lease_id for seen in await backend.containers()] == [f"lease-{number:04}" for number in range(1_100)]
    cluster.pages_grow_old = True
    with pytest.raises(Unavailable, match="too old"):
        await backend.containers()


# ── capacity ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_capacity_is_that_of_the_nodes_that_take_our_pods(
    cluster: service.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    taint = {"key": "spot", "value": "yes", "effect": "NoSchedule"}
    nodes = {
        "a": service.node("a", cpu="3920m", memory="15998684Ki"),
        "b": service.node("b", cpu="2", memory="1G"),
        "unready": service.node("unready", cpu="64", memory="64Gi", ready="Unknown"),
        "cordoned": service.node("cordoned", cpu="64", memory="64Gi", unschedulable=True),
        "tainted": service.node("tainted", cpu="1", memory="1Gi", taints=[taint]),
        "avoided": service.node("avoided", cpu="1", memory="1Gi", taints=[taint | {"effect": "PreferNoSchedule"}]),
    }
    monkeypatch.setattr(cluster, "nodes", nodes)
    plain, memory = 3_920 + 2_000 + 1_000, 15998684 * 1024 + 10**9 + 2**30
    assert await capacity(cluster) == Capacity(plain, memory // 2**20)
    for tolerated in ({"key": "spot", "value": "yes"}, {"key": "spot", "operator": "Exists"}, {"operator": "Exists"}):
        assert await capacity(cluster, tolerations=[tolerated]) == Capacity(plain + 1_000, (memory + 2**30) // 2**20)
    for other in ({"key": "spot", "value": "no"}, {"key": "spot", "value": "yes", "effect": "NoExecute"}):
        assert await capacity(cluster, tolerations=[other]) == Capacity(plain, memory // 2**20)
    assert await capacity(cluster, node_selector={"kubernetes.io/hostname": "b"}) == Capacity(2_000, 10**9 // 2**20)
    assert await capacity(cluster, cpu_millis=500, memory_mib=10**6) == Capacity(500, memory // 2**20)


async def test_the_capacity_is_that_of_a_quota_where_one_is_named(cluster: service.Cluster) -> None:
    hard = {"requests.cpu": "2500m", "limits.cpu": "3", "limits.memory": "4Gi", "pods": "10"}
    cluster.quotas["spot"] = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {}, "spec": {"hard": hard}}
    assert await capacity(cluster, quota="spot") == Capacity(2_500, 4_096)
    with pytest.raises(Unavailable, match="not found"):
        await capacity(cluster, quota="none")


async def capacity(cluster: service.Cluster, **settings: Any) -> Capacity:
    backend = await connect_to(cluster, **settings)
    try:
        return await backend.capacity()
    finally:
        await backend.close()


# ── an API that does not answer, settings that cannot be used ────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [429, 500, 503, 504])
async def test_an_api_that_cannot_now_is_unavailable(code: int, cluster: service.Cluster, backend: Backend) -> None:
    cluster.failing = code
    await expect_unavailable(backend)
    cluster.failing = None
    assert await backend.containers() == []


async def test_an_api_that_does_not_know_us_is_unavailable(cluster: service.Cluster) -> None:
    stranger = await connect("kubernetes", "town", {"kubeconfig": str(cluster.write_kubeconfig(token="wrong"))})
    await expect_unavailable(stranger)
    await stranger.close()


async def test_an_api_that_is_not_there_is_unavailable(cluster: service.Cluster, tmp_path: Path) -> None:
    config = cluster.write_kubeconfig().read_text().replace(cluster.url, f"http://127.0.0.1:{free_port()}")
    (tmp_path / "config").write_text(config)
    absent = await connect("kubernetes", "town", {"kubeconfig": str(tmp_path / "config")})
    await expect_unavailable(absent)
    await absent.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kubeconfig": "/no/such/file"},
        {"kubeconfig": "CONFIG", "context": "another"},
        {"kubeconfig": "BROKEN"},
        {"namespace": "../kube-system"},
        {"tolerations": [{"key": "a", "seconds": 1}]},
        {"hostNetwork": True},
    ],
)
async def test_settings_that_cannot_be_used_are_refused_with_a_sentence(
    wrong: dict[str, Any], cluster: service.Cluster, tmp_path: Path
) -> None:
    (tmp_path / "broken").write_text(json.dumps({"clusters": "none"}))
    files = {"CONFIG": str(cluster.write_kubeconfig()), "BROKEN": str(tmp_path / "broken")}
    settings = {name: files.get(value, value) if isinstance(value, str) else value for name, value in wrong.items()}
    with pytest.raises(BadSettings, match=r"\.$"):
        await connect("kubernetes", "town", settings)
