"""A TCP relay that stands between a client and a server and misbehaves on request.

Threads, not tasks: it goes on while a test's event loop is busy, and serves tests that have none.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Literal, Self

When = Literal["before", "after"]


class Relay:
    """Listens on `port` and passes bytes to `target_port` and back. Use it as a context manager."""

    def __init__(self, target_port: int) -> None:
        self.delay_seconds = 0.0
        """How long each piece waits, in each direction."""
        self.cuts = 0
        """How many connections `cut` has broken so far."""
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._lock = threading.Lock()
        self._armed: list[tuple[When, bytes]] = []
        self._links: set[_Link] = set()

    def pass_on(self) -> None:
        """Behave: what a blackhole held back goes on its way."""
        self.delay_seconds = 0.0
        self._refusing = False
        self._passing.set()

    def blackhole(self) -> None:
        """Hold every byte, break nothing: to both sides the other one is silent."""
        self._passing.clear()

    def reset(self) -> None:
        """Break the open connections; new ones pass."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()

    def refuse(self) -> None:
        """Break the open connections, and new ones too until `pass_on`."""
        self._refusing = True
        self.reset()

    def cut(self, when: When, message: bytes = b"COMMIT", *, times: int = 1) -> None:
        """Break the next connections whose client sends `message`.

        `before`: the server never hears of it. `after`: the server has answered it, the client never hears that.
        """
        with self._lock:
            self._armed += [(when, message)] * times

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._passing.set()
        self.refuse()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            _break(client)
            return
        server.settimeout(None)
        link = _Link(self, client, server)
        with self._lock:
            self._links.add(link)
        threading.Thread(target=link.pump, args=(client, server), daemon=True).start()
        threading.Thread(target=link.pump, args=(server, client), daemon=True).start()

    def hold(self) -> None:
        """Wait as long as the relay is told to."""
        self._passing.wait()
        if self.delay_seconds:
            time.sleep(self.delay_seconds)

    def take_cut(self, piece: bytes) -> When | None:
        """Take the first order to cut that these bytes of a client meet."""
        with self._lock:
            for index, (when, message) in enumerate(self._armed):
                if message in piece:
                    del self._armed[index]
                    self.cuts += 1
                    return when
        return None

    def forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)


class _Link:
    """One connection: two sockets and a thread for each direction."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._is_answer_lost = False

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                self._relay.hold()
                when = self._relay.take_cut(piece) if source is self._client else None
                if when == "before" or (source is self._server and self._is_answer_lost):
                    break
                self._is_answer_lost |= when == "after"
                sink.sendall(piece)
        self.reset()

    def reset(self) -> None:
        self._relay.forget(self)
        _break(self._client)
        _break(self._server)


def _break(end: socket.socket) -> None:
    """Close at once with RST; `shutdown` first, because it wakes the thread that waits in `recv`."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    end.close()
