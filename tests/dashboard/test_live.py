"""A page's stream: what has changed, four times a second at most, for as long as its viewer may look."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from marketplace.cli import root
from marketplace.dashboard.live import REPAINT_SECONDS, Parts, Shared

if TYPE_CHECKING:
    from tests.conftest import StartServer
    from tests.services.server import Server

STREAM = "/dashboard/hours/default/stream"
API = "/api/v1/hours/markets/default"


class Frame(NamedTuple):
    """What came on a stream, and when."""

    at: float
    id: str
    event: str
    data: str

    @property
    def parts(self) -> set[str]:
        return set(re.findall(r'hx-target="#(\w+)"', self.data))


@contextmanager
def following(url: str, **headers: str) -> Iterator[Queue[Frame]]:
    """Read a stream in a thread; its frames come into the queue, until the body ends."""
    frames: Queue[Frame] = Queue()
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.connect()
    line = connection.sock

    def read() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
            for frame in _frames_of(connection.getresponse()):
                frames.put(frame)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield frames
    finally:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        reader.join()
        connection.close()
        line.close()


def _frames_of(body: Iterable[bytes]) -> Iterator[Frame]:
    fields: dict[str, str] = {}
    for line in body:
        name, _, value = line.decode().rstrip("\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif "id" in fields or "event" in fields:
            yield Frame(time.monotonic(), *(fields.get(name, "") for name in ("id", "event", "data")))
            fields = {}


def next_paint(frames: Queue[Frame], *, seconds: float = 5) -> Frame:
    """Return the next frame that paints something."""
    deadline = time.monotonic() + seconds
    while not (frame := frames.get(timeout=max(deadline - time.monotonic(), 0.01))).parts:
        pass
    return frame


def bid(server: Server, *, price: int = 3, headers: dict[str, str] | None = None) -> None:
    body = {"username": "ann", "volume": 10, "price": price}
    answer = httpx.post(f"{server.url}{API}/bids", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def server(sqlite_url: str, start_server: StartServer) -> Server:
    return start_server(sqlite_url, "--max-waiting-seconds", "60")


@pytest.fixture
def either_server(database_url: str, start_server: StartServer) -> Server:
    """A server on each engine in turn."""
    return start_server(database_url, "--max-waiting-seconds", "60")


def test_a_bid_is_on_the_stream_within_a_second(either_server: Server) -> None:
    seconds = []
    with following(f"{either_server.url}{STREAM}") as frames:
        assert frames.get(timeout=5).event == "beat"
        for price in (4321, 5432, 6543):
            begun_at = time.monotonic()
            bid(either_server, price=price)
            frame = next_paint(frames)
            while f"{price:,}" not in frame.data:
                frame = next_paint(frames)
            assert "ladder" in frame.parts
            seconds.append(frame.at - begun_at)
    assert min(seconds) < 1, seconds


def test_a_bid_for_a_container_is_on_the_stream_of_its_pool_and_of_no_other(either_server: Server) -> None:
    url = either_server.url
    httpx.post(f"{url}/api/v1/spot/pools", json={"pool": "other"}, trust_env=False)
    container = {"username": "ann", "image": "app:1", "cpu_millis": 100, "memory_mib": 64, "max_price_per_hour": "7.77"}
    with (
        following(f"{url}/dashboard/spot/default/stream") as frames,
        following(f"{url}/dashboard/spot/other/stream") as others,
    ):
        for each in (frames, others):
            assert each.get(timeout=5).event == "beat"
        assert httpx.post(f"{url}/api/v1/spot/bids", json=container, trust_env=False).status_code == 201
        while "7.77" not in (frame := next_paint(frames)).data:
            pass
        assert {"pool", "mine"} <= frame.parts
        time.sleep(0.5)
        while not others.empty():
            assert "7.77" not in others.get().data


def test_a_reader_that_comes_back_is_sent_what_changed_meanwhile_and_nothing_else(either_server: Server) -> None:
    bid(either_server)
    with following(f"{either_server.url}{STREAM}?after=hours:0") as frames:
        seen = next_paint(frames).id
    assert seen == "hours:1"
    with following(f"{either_server.url}{STREAM}", **{"Last-Event-ID": seen}) as frames:
        assert frames.get(timeout=5)[1:] == (seen, "beat", "")
        bid(either_server, price=99)
        while ">99<" not in (frame := next_paint(frames)).data:
            pass
        assert frame.id == "hours:2"
    with following(f"{either_server.url}{STREAM}", **{"Last-Event-ID": seen}) as frames:
        assert ">99<" in next_paint(frames).data
    with following(f"{either_server.url}{STREAM}", **{"Last-Event-ID": "hours:999999999"}) as frames:
        assert frames.get(timeout=5).id == "hours:2", "nobody is further than the log"


def test_a_burst_becomes_few_repaints_and_the_last_one_shows_the_end(server: Server) -> None:
    with following(f"{server.url}{STREAM}") as frames, httpx.Client(base_url=server.url, trust_env=False) as client:
        frames.get(timeout=5)
        begun_at = time.monotonic()
        for number in range(200):
            client.post("/buy", json={"username": "ann", "volume": 1, "price": number % 7})
        client.post("/buy", json={"username": "ann", "volume": 1, "price": 777})
        painted = [next_paint(frames)]
        while "777" not in painted[-1].data:
            painted.append(next_paint(frames))
        seconds = painted[-1].at - begun_at
        assert len(painted) <= seconds / REPAINT_SECONDS + 2
        pauses = [after.at - before.at for before, after in itertools.pairwise(painted)]
        assert all(pause > 0.8 * REPAINT_SECONDS for pause in pauses)


def test_what_happens_in_another_market_repaints_nothing(server: Server) -> None:
    httpx.post(f"{server.url}/api/v1/hours/markets", json={"market": "other"}, trust_env=False)
    with following(f"{server.url}/dashboard/hours/other/stream?after=hours:1") as frames:
        frames.get(timeout=5)
        bid(server)
        with pytest.raises(Empty):  # but for what is looked at now and then
            frames.get(timeout=1.5)


def test_a_stream_tells_every_few_seconds_that_it_is_there(server: Server) -> None:
    with following(f"{server.url}/dashboard/wallet/stream") as frames:
        assert [frames.get(timeout=8).event for _ in range(2)] == ["beat", "beat"]


def test_a_position_that_is_none_is_refused(server: Server) -> None:
    for position in ("x", "hours:", "hours:-1", "hours:1e3", "hours:99999999999999999999"):
        answer = httpx.get(f"{server.url}{STREAM}", headers={"Last-Event-ID": position}, trust_env=False)
        assert answer.status_code == 400, position


def test_with_a_revoked_key_an_open_page_falls_silent(
    sqlite_url: str, start_server: StartServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert root.run(["keys", "create", "--admin", "--database-url", sqlite_url]) == 0
    admin = {"Authorization": f"Bearer {capfd.readouterr().out.strip()}"}
    server = start_server(sqlite_url, "--auth", "keys")
    made = httpx.post(f"{server.url}/api/v1/keys", json={"scopes": ["read"]}, headers=admin, trust_env=False).json()
    with httpx.Client(base_url=server.url, trust_env=False) as browser:
        token = re.search(r'name="token" value="(\w+)"', browser.get("/dashboard/sign-in").text)
        assert token
        browser.post("/dashboard/sign-in", data={"token": token[1], "key": made["key"]})
        cookie = f"marketplace={browser.cookies['marketplace']}"
    with following(f"{server.url}{STREAM}", Cookie=cookie) as frames:
        frames.get(timeout=5)
        bid(server, headers=admin)
        assert next_paint(frames).parts
        httpx.delete(f"{server.url}/api/v1/keys/{made['key_id']}", headers=admin, trust_env=False)
        time.sleep(1)  # within which it has to be felt
        meanwhile = [frames.get() for _ in range(frames.qsize())]
        if "over" not in [frame.event for frame in meanwhile]:
            bid(server, price=5, headers=admin)
            frame = frames.get(timeout=8)
            assert (frame.event, frame.data) == ("over", "")


def test_a_stopping_server_lets_its_pages_go(sqlite_url: str, start_server: StartServer) -> None:
    server = start_server(sqlite_url)
    with following(f"{server.url}{STREAM}") as frames:
        frames.get(timeout=5)
        begun_at = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun_at < 8


# ── what viewers share ───────────────────────────────────────────────────────────────────────────────────────────────


class Made:
    """Parts that are made as of a moving head, and counted."""

    def __init__(self) -> None:
        self.head = 1
        self.count = 0
        self.began = asyncio.Event()

    async def __call__(self) -> Parts:
        self.count += 1
        seq = self.head
        self.began.set()
        await asyncio.sleep(0.01)
        return Parts(seq, {"ladder": str(seq)})


async def test_many_viewers_cost_one_rendering() -> None:
    shared, made = Shared(), Made()
    found = await asyncio.gather(*(shared.get("market", 1, made) for _ in range(50)))
    assert {parts.seq for parts in found} == {1}
    assert made.count == 1


async def test_nobody_is_given_less_than_they_know_of() -> None:
    shared, made = Shared(), Made()
    early = asyncio.create_task(shared.get("market", 1, made))
    await made.began.wait()
    made.head = 2
    assert (await shared.get("market", 2, made)).seq == 2
    assert (await early).seq == 1


async def test_one_market_is_rendered_four_times_a_second_at_most() -> None:
    shared, made = Shared(), Made()
    begun_at = time.monotonic()
    for seq in range(1, 5):
        made.head = seq
        await shared.get("market", seq, made)
    assert time.monotonic() - begun_at > 3 * REPAINT_SECONDS * 0.9


async def test_a_rendering_that_fails_is_told_and_not_kept() -> None:
    shared, made = Shared(), Made()

    async def fail() -> Parts:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await shared.get("market", 1, fail)
    assert (await shared.get("market", 1, made)).seq == 1


async def test_what_is_a_little_old_is_given_once_more_while_it_is_made_anew() -> None:
    shared, made = Shared(), Made()
    assert (await shared.get_recent("prices", 0.1, made)).seq == 1
    made.head = 2
    await asyncio.sleep(0.15)
    assert (await shared.get_recent("prices", 0.1, made)).seq == 1, "nobody waits"
    await asyncio.sleep(0.5)
    assert (await shared.get_recent("prices", 60.0, made)).seq == 2


async def test_what_is_much_older_is_not_shown() -> None:
    shared, made = Shared(), Made()
    await shared.get_recent("prices", 0.05, made)
    made.head = 2
    await asyncio.sleep(0.3)
    assert (await shared.get_recent("prices", 0.05, made)).seq == 2
