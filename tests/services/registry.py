"""An image registry for tests: the reading half of the registry protocol, on loopback, with one image in it."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

NAME = "team/tool"
TAG = "1"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Serves an image whose only layer is the tar `archive`. `silent` makes it never answer. Use it in a `with`."""

    def __init__(self, archive: Path) -> None:
        layer = archive.read_bytes()
        packed = gzip.compress(layer, compresslevel=1)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        blobs = [json.dumps(config).encode(), packed]
        types = ["application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"]
        parts = [
            {"mediaType": kind, "size": len(blob), "digest": digest(blob)}
            for kind, blob in zip(types, blobs, strict=True)
        ]
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": parts[0], "layers": parts[1:]}
        self.manifest = json.dumps(manifest).encode()
        self.blobs = {digest(blob): blob for blob in blobs}
        self.requests = 0
        self.silent = False
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def image(self) -> str:
        """The image's name, without a tag."""
        return f"127.0.0.1:{self._server.server_address[1]}/{NAME}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return the status, the media type and the content of a path."""
        self.requests += 1
        if self.silent:
            self._closing.wait()
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if path in (f"/v2/{NAME}/manifests/{TAG}", f"/v2/{NAME}/manifests/{digest(self.manifest)}"):
            return 200, _MANIFEST, self.manifest
        blob = self.blobs.get(path.removeprefix(f"/v2/{NAME}/blobs/"))
        return (404, "application/json", b'{"errors":[]}') if blob is None else (200, "application/octet-stream", blob)


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def do_GET(self) -> None:
        status, media_type, body = self.registry.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", digest(body))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the standard library)
        """Write nothing."""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
