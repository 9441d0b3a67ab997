"""A Docker Engine for tests: a dockerd of our own on a Unix socket, without any network, with one small image.

It needs root, dockerd and a static busybox (Debian: docker.io, busybox-static). The image is made here from busybox and
its links, so no registry is asked for anything. `running()` removes what its containers left behind.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.services.children import Child, is_root

IMAGE = "marketplace-test:1"
IMAGE_WITH_VOLUME = "marketplace-test:volume"

_START_SECONDS = 30.0
_NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")


class NoEngine(Exception):
    """This machine cannot run a Docker Engine of ours; the message says why."""


class Engine:
    """One dockerd, the test's own child."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.archive = folder / "busybox.tar"
        """The only layer of the test images."""
        self._flags = flags
        self._child: Child | None = None

    def start(self) -> None:
        """Start and wait until it answers. Raises NoEngine where it gives up."""
        places = [f"--{name}={self.folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
        limits = ["--storage-driver=overlay2", "--exec-opt=native.cgroupdriver=cgroupfs", "--log-level=warn"]
        command = ["dockerd", "-H", self.url, *places, *_NO_NETWORK, *limits, *self._flags]
        self._child = Child(command, log=self.folder / "dockerd.log")
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(self._docker("version"), capture_output=True, check=False).returncode:
            if not self._child.is_running or time.monotonic() > deadline:
                raise NoEngine(f"dockerd does not start here: {self._child.read_log()[-2000:]}")
            time.sleep(0.05)

    def run(self, *words: str) -> str:
        """Run a docker command to its end and return what it wrote."""
        return subprocess.run(self._docker(*words), capture_output=True, text=True, check=True).stdout.strip()

    def import_image(self, name: str, *changes: str) -> None:
        """Make an image of busybox; `changes` are lines of a Dockerfile."""
        if not self.archive.exists():
            _archive_busybox(self.archive)
        self.run("import", *(part for change in changes for part in ("-c", change)), str(self.archive), name)

    def freeze(self) -> None:
        """SIGSTOP: connections are taken, and nothing is answered."""
        assert self._child is not None
        self._child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        self._child.send(signal.SIGCONT)

    def tidy(self) -> None:
        """Remove every container."""
        if left := self.run("ps", "-aq").split():
            self.run("rm", "-fv", *left)

    def stop(self) -> None:
        """Remove every container and end: a killed dockerd would leave its containers running."""
        if self._child is not None:
            if self._child.is_running:
                self.tidy()
            self._child.end()

    def _docker(self, *words: str) -> Sequence[str]:
        return ["docker", "-H", self.url, *words]


class Limits(NamedTuple):
    """What the kernel holds a container to; the quota is of 100 ms. Without the controller for swap: None."""

    memory_bytes: int
    memory_and_swap_bytes: int | None
    cpu_quota_micros: int
    pids: int


def limits(container_id: str) -> Limits:
    """Read a running container's limits where the kernel keeps them, on either version of cgroups."""

    def read(controller: str, *names: str) -> int | None:
        for root in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
            for name in names:
                if (file := root / "docker" / container_id / name).exists():
                    return int(file.read_text().split()[0])
        return None

    return Limits(
        read("memory", "memory.limit_in_bytes", "memory.max") or 0,
        read("memory", "memory.memsw.limit_in_bytes"),
        read("cpu", "cpu.cfs_quota_us", "cpu.max") or 0,
        read("pids", "pids.max") or 0,
    )


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Engine]:
    """Yield a started engine with the test images in it. Raises NoEngine."""
    for program in ("dockerd", "docker", "busybox"):
        if shutil.which(program) is None:
            raise NoEngine(f"no {program} here: install docker.io and busybox-static")
    if not is_root():
        raise NoEngine("dockerd needs root")
    folder = Path(tempfile.mkdtemp(prefix="dk-", dir="/tmp"))
    engine = Engine(folder, *flags)
    try:
        engine.start()
        engine.import_image(IMAGE, 'CMD ["/bin/sh"]')
        engine.import_image(IMAGE_WITH_VOLUME, "VOLUME /kept")
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _archive_busybox(archive: Path) -> None:
    busybox = Path(shutil.which("busybox") or "busybox").resolve()
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(archive, "w") as tar:
        for name in ("bin", "tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        tar.add(busybox, "bin/busybox")
        for applet in sorted({*listed} - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
