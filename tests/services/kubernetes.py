"""A Kubernetes API for tests: pods, nodes and quotas over HTTP, and a kubelet whose containers are real processes.

It is honest about what a backend may trip over: a name is given out once, deleting takes its grace and only ever
shortens it, a finalizer keeps a deleted pod, a deleted pod's log goes with its end, lists come in pages that grow old,
and answers are the Status objects of the real thing. What it does not know it refuses, so that nothing is passed over.
The kubelet starts a pod's program in a thread's loop, puts variables in the place of $(NAME) as the real one does,
kills at the memory limit, and sends SIGTERM and SIGKILL by its own clock.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.kubelet import Kubelet

IMAGE = "marketplace-test:1"
NAMESPACE = "leases"
TOKEN = "a-token-for-tests"

Json = dict[str, Any]


class Refused(Exception):
    """An answer that is an error: a Status object with this code and reason."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Cluster:
    """The API server's memory and its kubelet. `failing` answers every request with that code instead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.pods: dict[str, Json] = {}
        self.nodes: dict[str, Json] = {"node-1": node("node-1", cpu="4", memory="8Gi")}
        self.quotas: dict[str, Json] = {}
        self.failing: int | None = None
        self.pages_grow_old = False
        self._version = 100
        self._kubelet = Kubelet(self, folder, {IMAGE})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()
        self._kubelet.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._kubelet.stop()

    def tidy(self) -> None:
        """Kill and forget every pod, whatever holds it."""
        with self.lock:
            self.pods.clear()
        self._kubelet.kill_what_is_gone()
        self.failing, self.pages_grow_old = None, False

    def write_kubeconfig(self, *, token: str = TOKEN) -> Path:
        config = {
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
        }
        file = self.folder / f"kubeconfig-{token}"
        file.write_text(json.dumps(config))
        return file

    def touch(self, pod: Json) -> None:
        """Count a change, as every write of the real thing does."""
        self._version += 1
        pod["metadata"]["resourceVersion"] = str(self._version)

    # ── pods ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, pod: Json) -> Json:
        check_pod(pod)
        name = pod["metadata"]["name"]
        with self.lock:
            if name in self.pods:
                raise Refused(409, "AlreadyExists", f'pods "{name}" already exists')
            created = copy.deepcopy(pod)
            created["metadata"] |= {"uid": str(uuid.uuid4()), "namespace": NAMESPACE, "creationTimestamp": rfc3339()}
            created["spec"].setdefault("terminationGracePeriodSeconds", 30)
            created["status"] = {"phase": "Pending"}
            self.pods[name] = created
            self.touch(created)
            return copy.deepcopy(created)

    def get(self, name: str) -> Json:
        with self.lock:
            if name not in self.pods:
                raise Refused(404, "NotFound", f'pods "{name}" not found')
            return copy.deepcopy(self.pods[name])

    def delete(self, name: str, grace_seconds: int | None) -> Json:
        with self.lock:
            self.get(name)
            pod = self.pods[name]
            grace = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
            if not pod["spec"].get("nodeName") or pod["status"]["phase"] in ("Succeeded", "Failed"):
                grace = 0  # no kubelet has to be waited for
            if grace < pod["metadata"].get("deletionGracePeriodSeconds", grace + 1):
                gone_at = datetime.fromtimestamp(time.time() + grace, UTC)
                pod["metadata"] |= {"deletionTimestamp": rfc3339(gone_at), "deletionGracePeriodSeconds": grace}
                self.touch(pod)
                self._kubelet.end_by(pod["metadata"]["uid"], time.monotonic() + grace)
            if grace == 0:
                self.forget_if_free(name)
            return copy.deepcopy(pod)

    def let_go(self, name: str, patch: Json) -> Json:
        """Take finalizers off: the only patch that is understood."""
        directive = "$deleteFromPrimitiveList/finalizers"
        if set(patch) != {"metadata"} or set(patch["metadata"]) != {directive}:
            raise Refused(400, "BadRequest", f"not a patch that this server understands: {patch}")
        with self.lock:
            self.get(name)
            metadata = self.pods[name]["metadata"]
            kept = [it for it in metadata.get("finalizers", []) if it not in patch["metadata"][directive]]
            metadata["finalizers"] = kept
            self.touch(self.pods[name])
            answer = copy.deepcopy(self.pods[name])
            if "deletionTimestamp" in metadata and not self._kubelet.holds(metadata["uid"]):
                self.forget_if_free(name)
            return answer

    def forget_if_free(self, name: str) -> None:
        """Remove a deleted pod that no finalizer keeps."""
        if not self.pods[name]["metadata"].get("finalizers"):
            del self.pods[name]

    def log(self, name: str, lines: int | None) -> str:
        text = self._kubelet.read_log(self.get(name)["metadata"]["uid"])
        if text is None:
            raise Refused(400, "BadRequest", f'container "lease" in pod "{name}" is waiting to start or gone')
        return "".join(text.splitlines(keepends=True)[-lines:] if lines else text)

    def list(self, kind: str, things: dict[str, Json], query: Json) -> Json:
        """Return a page: `limit` things after the name in `continue`, with the version that it is of."""
        with self.lock:
            wanted = [part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part]
            found = [
                copy.deepcopy(thing)
                for _, thing in sorted(things.items())
                if is_selected(thing["metadata"].get("labels", {}), wanted)
            ]
            after, limit = query.get("continue", ""), int(query.get("limit", 0))
            if after and self.pages_grow_old:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
            rest = [thing for thing in found if thing["metadata"]["name"] > after]
            page = rest[:limit] if limit else rest
            metadata = {"resourceVersion": str(self._version)}
            if len(page) < len(rest):
                metadata["continue"] = page[-1]["metadata"]["name"]
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": page}


class _Handler(BaseHTTPRequestHandler):
    """Paths and methods; the rest is the cluster's."""

    protocol_version = "HTTP/1.1"
    cluster: Cluster
    PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815 (names of the standard library)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the standard library)
        """Write nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.cluster.failing:
                raise Refused(self.cluster.failing, "InternalError", "as the test wishes")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            answer = self._route(parts.path, query, body)
            if isinstance(answer, str):
                self._send(200, "text/plain", answer.encode())
            else:
                self._send(201 if self.command == "POST" else 200, "application/json", json.dumps(answer).encode())
        except Refused as refused:
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
            told = status | {"message": str(refused), "reason": refused.reason, "code": refused.code}
            self._send(refused.code, "application/json", json.dumps(told).encode())

    def _route(self, path: str, query: Json, body: bytes) -> Json | str:
        if path == self.PODS and self.command == "POST":
            return self.cluster.create(json.loads(body))
        if path == self.PODS and self.command == "GET":
            return self.cluster.list("Pod", self.cluster.pods, query)
        if path == "/api/v1/nodes" and self.command == "GET":
            return self.cluster.list("Node", self.cluster.nodes, query)
        if match := re.fullmatch(rf"/api/v1/namespaces/{NAMESPACE}/resourcequotas/([a-z0-9.-]+)", path):
            if match[1] not in self.cluster.quotas:
                raise Refused(404, "NotFound", f'resourcequotas "{match[1]}" not found')
            return self.cluster.quotas[match[1]]
        if match := re.fullmatch(rf"{self.PODS}/([a-z0-9.-]+)(/log)?", path):
            return self._route_pod(match[1], query, body, is_log=bool(match[2]))
        raise Refused(404, "NotFound", f"the server could not find the requested resource {self.command} {path}")

    def _route_pod(self, name: str, query: Json, body: bytes, *, is_log: bool) -> Json | str:
        if is_log:
            return self.cluster.log(name, int(query["tailLines"]) if "tailLines" in query else None)
        if self.command == "GET":
            return self.cluster.get(name)
        if self.command == "DELETE":
            grace = query.get("gracePeriodSeconds")
            return self.cluster.delete(name, None if grace is None else int(grace))
        if self.command == "PATCH" and self.headers["Content-Type"] == "application/strategic-merge-patch+json":
            return self.cluster.let_go(name, json.loads(body))
        raise Refused(415, "UnsupportedMediaType", f"{self.command} {self.headers['Content-Type']}")

    def _send(self, code: int, media_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Yield a cluster with one node."""
    with tempfile.TemporaryDirectory(prefix="k8s-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def node(name: str, *, cpu: str, memory: str, ready: str = "True", **spec: Any) -> Json:
    """Return a node as the API shows it."""
    status = {"allocatable": {"cpu": cpu, "memory": memory}, "conditions": [{"type": "Ready", "status": ready}]}
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


def check_pod(pod: Json) -> None:
    """Refuse what a real API server refuses, of the fields that are sent. Raises Refused with 422."""
    metadata, spec = pod["metadata"], pod["spec"]
    (container,) = spec["containers"]
    resources = container["resources"]
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    rules = {
        "apiVersion and kind": (pod.get("apiVersion"), pod.get("kind")) == ("v1", "Pod"),
        "metadata.name": re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", metadata["name"]),
        "metadata.labels": all(
            re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", it, re.ASCII)
            for it in metadata["labels"].values()
        ),
        "metadata.finalizers": all(re.fullmatch(r"[a-z0-9.-]+/[\w.-]+", it) for it in metadata.get("finalizers", [])),
        "containers[0].name": re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", container["name"]),
        "containers[0].image": container["image"] and container["image"].strip() == container["image"],
        "containers[0].env": all(re.fullmatch(r"[A-Za-z_.-][\w.-]*", it["name"]) for it in container.get("env", [])),
        "containers[0].resources": resources["requests"] == resources["limits"]
        and all(re.fullmatch(r"[0-9]+(m|Ki|Mi|Gi)?", it) for it in resources["limits"].values()),
        "containers[0].volumeMounts": all(it["name"] in volumes for it in container.get("volumeMounts", [])),
        "terminationGracePeriodSeconds": spec.get("terminationGracePeriodSeconds", 30) >= 0,
    }
    for field, is_met in rules.items():
        if not is_met:
            raise Refused(422, "Invalid", f'Pod "{metadata["name"]}" is invalid: {field}')


def is_selected(labels: Mapping[str, str], wanted: Sequence[Sequence[str]]) -> bool:
    """Whether labels are as wanted: a key with its value, or a key alone that has any."""
    return all(labels.get(key) == value[0] if value else key in labels for key, *value in wanted)


def rfc3339(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
