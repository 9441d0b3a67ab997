"""Rows on orders beside readers: ten who follow the market's page as its stream tells it, or the market's log."""

from __future__ import annotations

import contextlib
import functools
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from benchmarks import load, mix, report, stage
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import Stage

READERS = 10
PAGE = "/dashboard/hours/default/stream"
LOG = "/api/v1/events/stream?lanes=hours"
CHUNK = 2**18


def beside_readers(place: Stage, *, seconds: float, runs: int) -> Row:
    """Compare orders beside ten readers of the page's stream with orders alone; readers of the log stand in a note."""
    heard: dict[str, list[float]] = {PAGE: [], LOG: []}
    with place.database() as url, place.server(url) as server:
        alone = functools.partial(mix.over_http, [server], place, connections=128)

        def beside(path: str) -> Callable[[float], Run]:
            return lambda length: _beside(server.url, path, functools.partial(alone, length), heard[path])

        sides: dict[str, Callable[[float], Run]] = {
            "ten at the page": beside(PAGE),
            "nobody": alone,
            "ten at the log": beside(LOG),
        }
        results = mix.alternate(sides, seconds=seconds, runs=runs)
        notes = [*report.sides(results), stage.audit(url)]
    at_log = load.ratios(results["ten at the log"], results["nobody"])
    notes.append(f"a reader of the page is sent {_rate(heard[PAGE])}, one of the log {_rate(heard[LOG])}")
    notes.append(f"beside ten at the log: {min(at_log):.2f} – {max(at_log):.2f} ×")
    values = load.ratios(results["ten at the page"], results["nobody"])
    return report.ratio_row("`/buy` beside ten readers of the page, against nobody", values, 0.9, notes)


def _beside(url: str, path: str, run: Callable[[], Run], heard: list[float]) -> Run:
    """Run a load while readers follow a stream; note the bytes a second that one of them was sent."""
    with _reading(url, path) as received:
        done = run()
    if len(received) < READERS or not all(received.values()):
        raise RuntimeError(f"of {READERS} readers of {path} {len(received)} were there at the end")
    heard.append(sum(received.values()) / READERS / done.seconds)
    return done


@contextlib.contextmanager
def _reading(url: str, path: str) -> Iterator[dict[int, int]]:
    """Read a stream ten times in a thread, and look at nothing of it. Yield how many bytes each connection was sent;
    one that the server has ended is not among them."""
    address, received, is_over = urlsplit(url), dict[int, int](), threading.Event()
    with contextlib.ExitStack() as sockets, selectors.DefaultSelector() as selector:
        for _ in range(READERS):
            one = sockets.enter_context(socket.create_connection((address.hostname, address.port or 80)))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            received[one.fileno()] = 0
            selector.register(one, selectors.EVENT_READ)
        reader = threading.Thread(target=_read, args=(selector, received, is_over))
        reader.start()
        try:
            yield received
        finally:
            is_over.set()
            reader.join()


def _read(selector: selectors.BaseSelector, received: dict[int, int], is_over: threading.Event) -> None:
    while not is_over.is_set():
        for key, _ in selector.select(timeout=0.2):
            assert isinstance(key.fileobj, socket.socket)
            if length := len(key.fileobj.recv(CHUNK)):
                received[key.fd] += length
            else:
                selector.unregister(key.fileobj)
                del received[key.fd]


def _rate(bytes_a_second: list[float]) -> str:
    return f"{sum(bytes_a_second) / len(bytes_a_second) / 1024:,.0f} KiB/s"
