"""A node that is a Docker Engine, on this machine or a remote one.

A tenant's container is not trusted: `container_config` is the whole of what is asked of the engine, and nothing of it
but image, words, variables, cpu and memory comes from the tenant. It runs as nobody, without capabilities, on a
read-only root, in namespaces of its own, with bounded memory (no swap), processes, log and scratch space.

The container's name is its owner and lease, so the engine itself refuses a second one. Two labels tell whose it is.
Stopping is left to the engine: it sends SIGTERM, waits, and kills, also when whoever asked is gone by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import aiodocker
import aiohttp
import msgspec
from aiodocker.containers import DockerContainer
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

_MIB = 1 << 20
_AT_ONCE = 16
"""Questions that one listing has open at the engine."""
_ACCEPTED_SECONDS = 1.0
"""An engine answers a stop when the container has ended; one that has not refused by now has taken it on."""

Limit = Annotated[int, Meta(ge=1, le=10**9)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine. `url` is unix:///path, or https://host:port with the three TLS files (mutual TLS): who reaches an
    engine is root on its machine. `cpu_millis` and `memory_mib` offer less than the machine has.
    """

    url: Annotated[str, Meta(pattern=r"^(unix:///|https://)", max_length=500)] = "unix:///var/run/docker.sock"
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    cpu_millis: Limit | None = None
    memory_mib: Limit | None = None
    network: Annotated[str, Meta(pattern=r"^(?!host$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$")] = "bridge"
    """A network of the engine; `none` for none. Never the host's, nor another container's."""
    runtime: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,63}$")] | None = None
    """Another OCI runtime that the engine knows, such as gVisor's."""
    pids: Annotated[int, Meta(ge=8, le=65_536)] = 512
    scratch_mib: Annotated[int, Meta(ge=1, le=65_536)] = 64
    """Size of /tmp, and of each volume that an image declares; it counts as the container's memory."""
    log_mib: Annotated[int, Meta(ge=1, le=1_024)] = 10
    pull: bool = True
    """Whether an image that is not there is fetched."""
    pull_seconds: Seconds = 300
    timeout_seconds: Seconds = 10


async def connect(owner: str, settings: Mapping[str, Any]) -> Docker:
    """Return a node that is a Docker Engine; it need not answer yet. Raises BadSettings."""
    checked = msgspec.convert(settings, Settings)
    timeout = aiohttp.ClientTimeout(total=checked.timeout_seconds)
    client = aiodocker.Docker(checked.url, ssl_context=_tls(checked), timeout=timeout)
    return Docker(owner, checked, client)


class Docker:
    """See Backend."""

    def __init__(self, owner: str, settings: Settings, client: aiodocker.Docker) -> None:
        self._owner = owner
        self._settings = settings
        self._client = client

    async def start(self, spec: Spec) -> Container:
        with _answering():
            found = await self._find(spec.lease_id)
            if found is None:
                try:
                    found = await self._create(spec)
                except aiodocker.DockerError as refused:
                    if not 400 <= refused.status < 500:
                        raise
                    return _failed(spec.lease_id, refused.message)
            if found is None:
                return _failed(spec.lease_id, "the node has a container of this name that is not ours")
            return await self._start_created(found)

    async def stop(self, lease_id: str, *, grace_seconds: int) -> None:
        with _answering():
            found = await self._find(lease_id)
            if found is None:
                return
            if found["State"]["Status"] == "created":
                await self._delete(found["Id"])
                return
            patience = aiohttp.ClientTimeout(sock_connect=self._settings.timeout_seconds, sock_read=_ACCEPTED_SECONDS)
            with contextlib.suppress(aiohttp.SocketTimeoutError), _unless_gone():
                await self._container(found["Id"]).stop(t=grace_seconds, timeout=patience)

    async def remove(self, lease_id: str) -> None:
        with _answering():
            found = await self._find(lease_id)
            if found is not None:
                await self._delete(found["Id"])

    async def inspect(self, lease_id: str) -> Container | None:
        with _answering():
            found = await self._find(lease_id)
        return observe(found) if found else None

    async def containers(self) -> list[Container]:
        with _answering():
            ours = {"label": [f"{OWNER_LABEL}={self._owner}", LEASE_LABEL]}
            listed = await self._client.containers.list(all=True, filters=ours)
            turns = asyncio.Semaphore(_AT_ONCE)

            async def look(container_id: str) -> dict[str, Any] | None:
                async with turns:
                    return await self._show(container_id)

            found = await asyncio.gather(*(look(container.id) for container in listed))
        return sorted(map(observe, filter(None, found)), key=lambda seen: seen.lease_id)

    async def logs(self, lease_id: str, *, lines: int = 100) -> str | None:
        with _answering():
            found = await self._find(lease_id)
            if found is None:
                return None
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout_seconds)
            most = min(max(lines, 1), MAX_LOG_LINES)
            written = self._container(found["Id"]).log(stdout=True, stderr=True, timeout=timeout, tail=most)
            return tail("".join(await written), lines)

    async def capacity(self) -> Capacity:
        with _answering():
            info = await self._client.system.info()
        return Capacity(
            min(info["NCPU"] * 1_000, self._settings.cpu_millis or info["NCPU"] * 1_000),
            min(info["MemTotal"] // _MIB, self._settings.memory_mib or info["MemTotal"] // _MIB),
        )

    async def close(self) -> None:
        await self._client.close()

    async def _create(self, spec: Spec) -> dict[str, Any] | None:
        """Return the new container, or that of who was quicker; None where the name is somebody else's."""
        name = name_of(self._owner, spec.lease_id)
        image = await self._image(spec.image)
        try:
            config = container_config(spec, self._owner, self._settings, image)
            await self._client.containers.create(config, name=name)
        except aiodocker.DockerError as refused:
            if refused.status != 409:
                raise
        async with asyncio.timeout(self._settings.timeout_seconds):
            while await self._show(name) is None:  # noqa: ASYNC110 (the name is taken a moment before the container is)
                await asyncio.sleep(0.05)
        return await self._find(spec.lease_id)

    async def _image(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of an image, fetched first where it is not there."""
        try:
            return dict(await self._client.images.inspect(name))
        except aiodocker.DockerError as missing:
            if missing.status != 404 or not self._settings.pull:
                raise
        seconds = self._settings.pull_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._client.images.pull(name)
        except TimeoutError:
            raise aiodocker.DockerError(404, f"the image did not arrive within {seconds:g} s") from None
        except aiodocker.DockerError as refused:
            if refused.status == 900:
                raise
            # The engine answers 500 where the registry refused it: that is about the image, not the engine.
            raise aiodocker.DockerError(404, f"the image cannot be fetched: {refused.message}") from refused
        return dict(await self._client.images.inspect(name))

    async def _start_created(self, found: Mapping[str, Any]) -> Container:
        """Start what was created and nothing else: an engine would run again what has ended."""
        if found["State"]["Status"] != "created":
            return observe(found)
        try:
            await self._container(found["Id"]).start()
        except aiodocker.DockerError as refused:
            if refused.status in (404, 900):
                raise
            await self._delete(found["Id"])
            return _failed(observe(found).lease_id, refused.message)
        return observe(await self._show(found["Id"]) or found)

    async def _find(self, lease_id: str) -> dict[str, Any] | None:
        """Return a lease's container, None where there is none or its name is somebody else's."""
        found = await self._show(name_of(self._owner, lease_id))
        labels = (found or {}).get("Config", {}).get("Labels") or {}
        is_ours = (labels.get(OWNER_LABEL), labels.get(LEASE_LABEL)) == (self._owner, lease_id)
        return found if is_ours else None

    async def _show(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._container(name).show()
        except aiodocker.DockerError as error:
            if error.status != 404:
                raise
            return None

    async def _delete(self, container_id: str) -> None:
        with _unless_gone():
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout_seconds)
            await self._container(container_id).delete(force=True, v=True, timeout=timeout)

    def _container(self, name: str) -> DockerContainer:
        return self._client.containers.container(name)


def container_config(spec: Spec, owner: str, settings: Settings, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the engine is asked for. Pure.

    The image is named by the id that was looked at. A volume that it declares would be a writable folder of the host:
    scratch space in memory stands in its place.
    """
    # Owned by nobody: the mode that is asked for gives way to that of the image's own folder.
    scratch = f"rw,noexec,nosuid,nodev,size={settings.scratch_mib}m,mode=1777,uid={NOBODY},gid={NOBODY}"
    volumes = (image.get("Config") or {}).get("Volumes") or {}
    return {
        "Image": image["Id"],
        # A vector, so no shell reads it; an entry point of the image's own would come before it.
        **({"Entrypoint": list(spec.command), "Cmd": []} if spec.command else {}),
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": {OWNER_LABEL: owner, LEASE_LABEL: spec.lease_id},
        "User": f"{NOBODY}:{NOBODY}",
        "Tty": False,
        "OpenStdin": False,
        "HostConfig": {
            "NanoCpus": spec.cpu_millis * 1_000_000,
            "Memory": spec.memory_mib * _MIB,
            "MemorySwap": spec.memory_mib * _MIB,  # memory and swap together, hence no swap
            "PidsLimit": settings.pids,
            "Privileged": False,
            "CapAdd": [],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Tmpfs": dict.fromkeys(("/tmp", *sorted(volumes)), scratch),  # noqa: S108 (the container's own)
            "Binds": [],
            "Mounts": [],
            "VolumesFrom": [],
            "Devices": [],
            "NetworkMode": settings.network,
            "PidMode": "",  # empty: of its own
            "UTSMode": "",
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "PublishAllPorts": False,
            "PortBindings": {},
            "Init": True,  # so that SIGTERM ends also a program that never thought of being process 1
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": f"{settings.log_mib}m", "max-file": "1"}},
            **({"Runtime": settings.runtime} if settings.runtime else {}),
        },
    }


def observe(shown: Mapping[str, Any]) -> Container:
    """Return what an inspected container says of itself. Pure."""
    state = shown["State"]
    has_ended = state["Status"] in ("exited", "dead", "removing")
    return Container(
        lease_id=shown["Config"]["Labels"][LEASE_LABEL],
        reference=shown["Id"],
        state="exited" if has_ended else "starting" if state["Status"] == "created" else "running",
        started_at=_instant(state["StartedAt"]),
        finished_at=_instant(state["FinishedAt"]) if has_ended else None,
        exit_code=state["ExitCode"] if has_ended else None,
        # The engine also says so where a child was killed and its parent went on to end well.
        out_of_memory=has_ended and state["OOMKilled"] and state["ExitCode"] != 0,
        reason=state["Error"],
    )


def _failed(lease_id: str, reason: str) -> Container:
    return Container(lease_id=lease_id, reference="", state="failed", reason=reason)


def _instant(text: str) -> Instant | None:
    """Read the engine's time; the year 1 means never."""
    return None if text.startswith("0001-") else clock.from_datetime(datetime.fromisoformat(text))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    files = (settings.tls_ca, settings.tls_cert, settings.tls_key)
    if settings.url.startswith("unix:"):
        return None
    if None in files:
        raise BadSettings("An engine at https:// needs tls_ca, tls_cert and tls_key.")
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        context.load_cert_chain(str(settings.tls_cert), settings.tls_key)
    except OSError as error:  # ssl.SSLError is one too
        raise BadSettings(f"The TLS files {', '.join(map(str, files))} cannot be used: {error}.") from error
    return context


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Say in our words that the engine did not answer, or could not do as it was asked."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable("the Docker Engine did not answer in time") from error
    except aiodocker.DockerError as error:
        raise Unavailable(f"the Docker Engine: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"the Docker Engine: {error}") from error


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Pass over that a container is not there (404), or is just being removed (409)."""
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status not in (404, 409):
            raise
