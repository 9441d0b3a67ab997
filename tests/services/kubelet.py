"""The kubelet of the Kubernetes stand-in: pods become processes, and their fate becomes the pods' status."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import resource
import signal
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.services.children import Child, is_root

if TYPE_CHECKING:
    from tests.services.kubernetes import Cluster

_TURN_SECONDS = 0.02
_MOST_BYTES = 1 << 30
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}

Json = dict[str, Any]


class Process:
    """One container."""

    def __init__(self, child: Child, memory_bytes: int) -> None:
        self.child = child
        self.memory_bytes = memory_bytes
        self.started_at = _now()
        self.was_asked = False
        self.is_out_of_memory = False

    def kill(self) -> None:
        self.child.send_to_group(signal.SIGKILL)

    def resident_bytes(self) -> int:
        return sum(map(_resident_bytes, _family(self.child.pid)))


class Kubelet:
    """A thread that looks at every pod, again and again: start it, watch its memory, end it, tell how it ended."""

    def __init__(self, cluster: Cluster, folder: Path, images: set[str]) -> None:
        self._cluster = cluster
        self._folder = folder
        self._images = images
        self._processes: dict[str, Process] = {}
        self._ends: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def end_by(self, uid: str, deadline: float) -> None:
        """Ask a pod to end, and kill it at this instant of the monotonic clock."""
        self._ends[uid] = deadline

    def holds(self, uid: str) -> bool:
        return uid in self._processes

    def read_log(self, uid: str) -> str | None:
        file = self._log(uid)
        return file.read_text(errors="replace") if file.exists() else None

    def kill_what_is_gone(self) -> None:
        """Wait until no process is left whose pod is gone."""
        while True:
            with self._cluster.lock:
                if self._processes.keys() <= {pod["metadata"]["uid"] for pod in self._cluster.pods.values()}:
                    return
            time.sleep(_TURN_SECONDS)

    def _work(self) -> None:
        while not self._stopping.wait(_TURN_SECONDS):
            with self._cluster.lock:
                for pod in list(self._cluster.pods.values()):
                    self._look_after(pod)
                known = {pod["metadata"]["uid"] for pod in self._cluster.pods.values()}
                for uid in self._processes.keys() - known:
                    self._processes[uid].kill()
                    self._processes.pop(uid).child.end(signal.SIGKILL)
        for process in self._processes.values():
            process.kill()
            process.child.end(signal.SIGKILL)

    def _look_after(self, pod: Json) -> None:
        process = self._processes.get(pod["metadata"]["uid"])
        is_deleted = "deletionTimestamp" in pod["metadata"]
        if process is not None:
            self._watch(pod, process)
        elif pod["status"]["phase"] == "Pending" and not is_deleted and self._is_schedulable(pod):
            self._start(pod)
        elif is_deleted:
            self._forget(pod)

    def _is_schedulable(self, pod: Json) -> bool:
        wanted = pod["spec"].get("nodeSelector", {}).items()
        fitting = [name for name, it in self._cluster.nodes.items() if wanted <= it["metadata"]["labels"].items()]
        if fitting:
            pod["spec"]["nodeName"] = fitting[0]
        return bool(fitting) and "containerStatuses" not in pod["status"]

    def _start(self, pod: Json) -> None:
        (container,) = pod["spec"]["containers"]
        if container["image"] not in self._images:
            message = f'failed to pull image "{container["image"]}": no such image'
            self._tell(pod, "Pending", {"waiting": {"reason": "ErrImagePull", "message": message}})
            return
        variables = {it["name"]: it["value"] for it in container.get("env", [])}
        for name, value in variables.items():
            variables[name] = expand(value, variables)
        command = [expand(word, variables) for word in container.get("command", ["sleep", "3600"])]
        try:
            child = Child(
                command,
                log=self._log(pod["metadata"]["uid"]),
                environment={"PATH": os.environ["PATH"], **variables},
                account=_account(container["securityContext"]["runAsUser"]),
                folder=Path("/"),
                farewell=signal.SIGKILL,
                own_group=True,
            )
        except OSError as error:
            message = f'exec: "{command[0]}": stat {command[0]}: {(error.strerror or "").lower()}'
            self._end(pod, 128, "StartError", datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), message)
            return
        # Should this thread ever look away for long, the machine is safe from a container that eats memory.
        with contextlib.suppress(OSError):  # it has ended already
            resource.prlimit(child.pid, resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        process = Process(child, _bytes(container["resources"]["limits"]["memory"]))
        self._processes[pod["metadata"]["uid"]] = process
        self._tell(pod, "Running", {"running": {"startedAt": process.started_at}})

    def _watch(self, pod: Json, process: Process) -> None:
        uid = pod["metadata"]["uid"]
        if process.resident_bytes() > process.memory_bytes:
            process.is_out_of_memory = True
            process.kill()
        if uid in self._ends and not process.was_asked:
            process.was_asked = True
            process.child.send(signal.SIGTERM)
        if time.monotonic() >= self._ends.get(uid, float("inf")):
            process.kill()
        if not process.child.is_running:
            del self._processes[uid]
            code = process.child.end()
            code = 128 - code if code < 0 else code
            reason = "OOMKilled" if process.is_out_of_memory else "Error" if code else "Completed"
            self._end(pod, code, reason, process.started_at)

    def _end(self, pod: Json, code: int, reason: str, started_at: str, message: str = "") -> None:
        ended = {"exitCode": code, "reason": reason, "startedAt": started_at, "finishedAt": _now(), "message": message}
        self._tell(pod, "Failed" if code else "Succeeded", {"terminated": ended})
        if "deletionTimestamp" in pod["metadata"]:
            self._forget(pod)

    def _forget(self, pod: Json) -> None:
        """Throw away what an ended, deleted pod left here; the API server forgets it where nothing else keeps it."""
        self._log(pod["metadata"]["uid"]).unlink(missing_ok=True)
        self._cluster.forget_if_free(pod["metadata"]["name"])

    def _tell(self, pod: Json, phase: str, state: Json) -> None:
        image = pod["spec"]["containers"][0]["image"]
        told = {"name": "lease", "image": image, "imageID": "", "ready": phase == "Running", "restartCount": 0}
        pod["status"] = {"phase": phase, "containerStatuses": [told | {"state": state}]}
        self._cluster.touch(pod)

    def _log(self, uid: str) -> Path:
        return self._folder / f"{uid}.log"


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in the place of $(NAME), and $ in the place of $$: the kubelet's rule."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replace, text)


def _family(pid: int) -> list[int]:
    """Return a process and all below it."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(member for child in children for member in _family(int(child)))]
    return []


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _account(uid: int) -> pwd.struct_passwd | None:
    """Return whom to run as, where we may choose."""
    return pwd.getpwuid(uid) if is_root() else None


def _bytes(quantity: str) -> int:
    match = re.fullmatch(r"([0-9]+)([KMG]i)?", quantity)
    assert match is not None, quantity
    return int(match[1]) * _UNITS[match[2] or ""]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
