"""What only a Docker Engine can show: limits as the kernel has them, remote engines, engines that do not answer."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from marketplace.spot.compute import Backend, BadSettings, Unavailable, connect
from tests.services import docker, postgres, registry
from tests.services.children import free_port
from tests.spot.compute.worlds import RealWorld, Watcher, expect_unavailable, make_spec

pytestmark = pytest.mark.slow

ABOUT_ITSELF = """
exec 2>&1
id -u; id -g
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
touch /here; touch /kept/here && echo kept is writable; touch /tmp/here && echo tmp is writable
ls /sys/class/net
mount | grep -E ' (/tmp|/kept) '
exec sleep 1000
"""


@pytest.fixture
async def engine(docker_world: RealWorld) -> AsyncIterator[Backend]:
    connected = await docker_world.connect()
    yield connected
    await connected.close()


@pytest.fixture
def watch(docker_world: RealWorld, engine: Backend) -> Watcher:
    return Watcher(docker_world, engine)


async def test_the_kernel_holds_the_limits_that_were_asked_for(engine: Backend, docker_world: RealWorld) -> None:
    spec = docker_world.spec("lease-1", "runs", cpu_millis=250, memory_mib=32)
    lease = (await engine.start(spec)).reference
    limits = docker.limits(lease)
    assert (limits.memory_bytes, limits.cpu_quota_micros, limits.pids) == (32 << 20, 25_000, 512)
    assert limits.memory_and_swap_bytes in (None, 32 << 20)


async def test_a_container_can_do_nothing_but_compute(engine: Backend, watch: Watcher) -> None:
    spec = make_spec({"lease_id": "lease-1", "image": docker.IMAGE_WITH_VOLUME, "command": ("sh", "-c", ABOUT_ITSELF)})
    await engine.start(spec)
    await watch.until_written("lease-1", "on /tmp")
    said = await engine.logs("lease-1") or ""
    lines = said.splitlines()
    assert lines[:2] == ["65534", "65534"]
    assert {"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} <= {*lines}
    assert "Read-only file system" in said
    assert {"tmp is writable", "kept is writable", "lo"} <= {*lines}
    mounts = [line for line in lines if " type tmpfs " in line]
    assert len(mounts) == 2
    assert all(flag in mount for mount in mounts for flag in ("nosuid", "nodev", "noexec", "size=65536k"))


async def test_no_volume_of_the_host_is_made_or_left(
    engine: Backend, docker_engine: docker.Engine, watch: Watcher
) -> None:
    command = ("sh", "-c", "echo up; sleep 1000")
    await engine.start(make_spec({"lease_id": "lease-1", "image": docker.IMAGE_WITH_VOLUME, "command": command}))
    await watch.until_written("lease-1", "up")
    assert docker_engine.run("volume", "ls", "-q") == ""
    assert docker_engine.run("inspect", "-f", "{{json .Mounts}}", "town-lease-1") == "[]"


async def test_words_and_variables_arrive_as_they_are(engine: Backend, watch: Watcher) -> None:
    words = ("$(id)", "$HOME", "$(NAME)", "$$", "`id`", "; exit 9", "* ~", "a\\nb", "'\"", "--", "é☃")
    environment = {"NAME": "$(id) `id` $PATH $(HOME)", "_": "two\nlines"}
    command = ("sh", "-c", 'printf "<%s>\\n" "$@" "$NAME"', "sh", *words)
    await engine.start(
        make_spec({"lease_id": "lease-1", "image": docker.IMAGE, "command": command, "environment": environment})
    )
    await watch.until("lease-1", "exited")
    said = await engine.logs("lease-1") or ""
    assert said == "".join(f"<{word}>\n" for word in (*words, environment["NAME"]))


async def test_a_container_of_that_name_that_is_not_ours_is_left_alone(
    engine: Backend, docker_engine: docker.Engine, docker_world: RealWorld
) -> None:
    docker_engine.run("create", "--network=none", "--name=town-lease-1", docker.IMAGE)
    docker_engine.run("create", "--network=none", "--name=town-lease-2", "--label=marketplace.owner=town", docker.IMAGE)
    failed = await engine.start(docker_world.spec("lease-1", "runs"))
    assert (failed.state, "not ours" in failed.reason) == ("failed", True)
    await engine.stop("lease-1", grace_seconds=0)
    await engine.remove("lease-1")
    assert (await engine.inspect("lease-1"), await engine.containers()) == (None, [])
    assert docker_engine.run("inspect", "-f", "{{.State.Status}}", "town-lease-1") == "created"


async def test_what_a_killed_server_only_created_is_started_and_can_be_stopped_before(
    engine: Backend, docker_engine: docker.Engine, docker_world: RealWorld, watch: Watcher
) -> None:
    labels = ("--label=marketplace.owner=town", "--label=marketplace.lease=lease-1")
    created = ("create", "--network=none", "--name=town-lease-1", *labels, docker.IMAGE, "sleep", "1000")
    docker_engine.run(*created)
    (seen,) = await engine.containers()
    assert (seen.state, seen.started_at) == ("starting", None)
    await engine.stop("lease-1", grace_seconds=100)
    assert await engine.containers() == []
    docker_engine.run(*created)
    await engine.start(docker_world.spec("lease-1", "runs"))
    await watch.until("lease-1", "running")


async def test_more_cpu_than_the_machine_has_is_a_failure(engine: Backend, docker_world: RealWorld) -> None:
    failed = await engine.start(docker_world.spec("lease-1", "runs", cpu_millis=256_000))
    assert (failed.state, "CPU" in failed.reason) == ("failed", True)
    assert await engine.containers() == []


async def test_an_engine_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    absent = await connect("docker", "town", {"url": f"unix://{tmp_path}/none.sock"})
    await expect_unavailable(absent)
    await absent.close()


async def test_an_engine_that_never_answers_is_unavailable(
    docker_world: RealWorld, docker_engine: docker.Engine
) -> None:
    patient = await docker_world.connect()
    await patient.start(docker_world.spec("lease-1", "runs"))
    hasty = await connect("docker", "town", {"url": docker_engine.url, "timeout_seconds": 0.3})
    assert len(await hasty.containers()) == 1
    docker_engine.freeze()
    try:
        await expect_unavailable(hasty)
    finally:
        docker_engine.thaw()
    assert len(await hasty.containers()) == 1
    await hasty.close()
    await patient.close()


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def image_registry(docker_engine: docker.Engine) -> Iterator[registry.Registry]:
    with registry.Registry(docker_engine.archive) as running:
        yield running


async def connect_pulling(engine: docker.Engine, **settings: object) -> Backend:
    return await connect("docker", "town", {"url": engine.url, "network": "none", **settings})


@pytest.mark.usefixtures("docker_world")
async def test_an_image_that_is_not_there_is_fetched_once_by_tag_or_by_digest(
    docker_engine: docker.Engine, image_registry: registry.Registry
) -> None:
    pulling = await connect_pulling(docker_engine)
    names = [f"{image_registry.image}:1", f"{image_registry.image}@{registry.digest(image_registry.manifest)}"]
    for number, name in enumerate(names):
        spec = {"lease_id": f"lease-{number}", "image": name, "command": ("sleep", "1000")}
        assert (await pulling.start(make_spec(spec))).state == "running"
    asked = image_registry.requests
    assert asked > 0
    await pulling.start(make_spec({"lease_id": "lease-9", "image": names[0], "command": ("sleep", "1000")}))
    assert image_registry.requests == asked
    await pulling.close()


@pytest.mark.usefixtures("docker_world")
async def test_an_image_that_cannot_be_fetched_is_a_failure_and_says_so(
    docker_engine: docker.Engine, image_registry: registry.Registry
) -> None:
    pulling = await connect_pulling(docker_engine)
    for name in (f"{image_registry.image}:2", image_registry.image, f"127.0.0.1:{free_port()}/none:1"):
        failed = await pulling.start(make_spec({"lease_id": "lease-1", "image": name}))
        assert (failed.state, "cannot be fetched" in failed.reason) == ("failed", True)
    assert await pulling.containers() == []
    await pulling.close()


@pytest.mark.usefixtures("docker_world")
async def test_a_registry_that_never_answers_is_not_waited_for_longer_than_was_set(
    docker_engine: docker.Engine, image_registry: registry.Registry
) -> None:
    image_registry.silent = True
    pulling = await connect_pulling(docker_engine, pull_seconds=1)
    failed = await pulling.start(make_spec({"lease_id": "lease-1", "image": f"{image_registry.image}:3"}))
    assert (failed.state, failed.reason) == ("failed", "the image did not arrive within 1 s")
    await pulling.close()


# ── a remote engine ──────────────────────────────────────────────────────────────────────────────────────────────────


def make_certificates(folder: Path) -> None:
    """Make an authority, and a server's and a client's certificate signed by it."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign,digitalSignature")
    openssl("req", "-x509", *new_key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=authority", *usage)
    for name in ("server", "client"):
        names = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE")
        signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem")
        request = ("-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("req", "-new", *new_key[:5], *request, *names)
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signed,
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
            "-out",
            f"{name}.pem",
        )


@pytest.fixture
def remote_engine(tmp_path: Path) -> Iterator[str]:
    """The URL of an engine that listens with mutual TLS; the files lie in tmp_path."""
    make_certificates(tmp_path)
    files = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server-key.pem"}
    port = free_port()
    flags = [
        "-H",
        f"tcp://127.0.0.1:{port}",
        "--tlsverify",
        *(f"--{flag}={tmp_path / file}" for flag, file in files.items()),
    ]
    try:
        with docker.running(*flags):
            yield f"https://127.0.0.1:{port}"
    except docker.NoEngine as missing:
        postgres.unavailable(str(missing))


async def test_a_remote_engine_is_reached_by_mutual_tls_alone(remote_engine: str, tmp_path: Path) -> None:
    files = {"tls_ca": "ca.pem", "tls_cert": "client.pem", "tls_key": "client-key.pem"}
    trusted = {"url": remote_engine} | {setting: str(tmp_path / file) for setting, file in files.items()}
    friend = await connect("docker", "town", trusted | {"network": "none"})
    assert (await friend.capacity()).cpu_millis >= 1_000
    await friend.start(make_spec({"lease_id": "lease-1", "image": docker.IMAGE, "command": ("sleep", "1000")}))
    assert [seen.state for seen in await friend.containers()] == ["running"]
    await friend.close()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    make_certificates(elsewhere)
    for of_others in (["tls_ca"], ["tls_cert", "tls_key"]):
        settings = trusted | {setting: str(elsewhere / files[setting]) for setting in of_others}
        stranger = await connect("docker", "town", settings)
        with pytest.raises(Unavailable):
            await stranger.capacity()
        await stranger.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "tcp://10.0.0.1:2375"},
        {"url": "http://10.0.0.1:2375"},
        {"url": "https://10.0.0.1:2376"},
        {"url": "https://10.0.0.1:2376", "tls_ca": "/no", "tls_cert": "/such", "tls_key": "/file"},
        {"network": "host"},
        {"network": "container:other"},
        {"pids": 0},
        {"privileged": True},
    ],
)
async def test_settings_that_cannot_be_used_are_refused_with_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match=r"\.$"):
        await connect("docker", "town", wrong)
