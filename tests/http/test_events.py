"""The log over HTTP: pages and their filters, waiting, and the stream."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests.conftest import StartServer
from tests.http.conftest import Client, Serve
from tests.http.test_gate import assert_problem
from tests.services.server import Server

EVENTS = "/api/v1/events"
STREAM = "/api/v1/events/stream"


def buy(client: Any, *users: str) -> None:
    for user in users:
        client.post("/buy", json={"username": user, "volume": 1, "price": 1}).raise_for_status()


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_asked_for_is_passed_over(serve: Serve) -> None:
    with serve() as client:
        buy(client, "u1", "u2")
        client.post("/api/v1/hours/markets", json={"market": "gpu"})
        client.post("/api/v1/hours/markets/gpu/bids", json={"username": "u1", "volume": 1, "price": 1})

        def seqs(**query: Any) -> list[int]:
            page = client.get(EVENTS, params=query).json()
            assert (page["next"], page["head"]) == (4, 4)
            return [event["seq"] for event in page["items"]]

        assert seqs() == [1, 2, 3, 4]
        assert seqs(kind="market_created") == [3]
        assert seqs(kind="market_created,bid_placed", subject="gpu") == [3, 4]
        assert seqs(subject="gpu") == [3, 4]
        assert seqs(subject="default/2") == [2]
        assert seqs(topic="hours", subject="gp") == []
        assert seqs(topic="addresses") == []


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("lane=gold", "lane", "invalid"),
        ("after=-1", "after", "invalid"),
        ("wait_seconds=61", "wait_seconds", "invalid"),
        ("wait_seconds=-1", "wait_seconds", "invalid"),
        ("wait_seconds=x", "wait_seconds", "invalid"),
        ("topic=", "topic", "invalid"),
        ("topic=gold", "topic", "events.unknown_kind"),
        ("kind=bid_placed,", "kind", "invalid"),
        ("kind=bid_placed,bid_lost", "kind", "events.unknown_kind"),
        ("subject=", "subject", "invalid"),
        (f"subject={'s' * 257}", "subject", "invalid"),
        ("limit=0", "limit", "invalid"),
    ],
)
def test_a_wrong_parameter_is_named(client: Client, query: str, field: str, code: str) -> None:
    assert assert_problem(client.get(f"{EVENTS}?{query}"), 400, code)["field"] == field


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("lanes=", "lanes", "invalid"),
        ("lanes=hours,gold", "lanes", "invalid"),
        ("after=12", "after", "invalid"),
        ("after=hours:-1", "after", "invalid"),
        ("after=gold:1", "after", "invalid"),
        ("after=hours:9999999999999999999", "after", "invalid"),
        ("kind=bid_lost", "kind", "events.unknown_kind"),
    ],
)
def test_a_wrong_parameter_of_the_stream_is_named(client: Client, query: str, field: str, code: str) -> None:
    assert assert_problem(client.get(f"{STREAM}?{query}"), 400, code)["field"] == field


@pytest.mark.parametrize("given", ["x", "hours", "hours:", "hours:1;money:2", "hours:1" * 200, "hours:-1", "hours:٣"])
def test_a_last_event_id_that_is_none_of_ours_is_refused(client: Client, given: str) -> None:
    answer = client.get(STREAM, headers={b"Last-Event-ID": given.encode()})
    assert assert_problem(answer, 400, "invalid")["field"] == "Last-Event-ID"


def test_a_long_poll_is_answered_by_what_happens(start_server: StartServer, sqlite_url: str) -> None:
    server = start_server(sqlite_url)
    with httpx.Client(base_url=server.url, timeout=30) as client:
        began = time.monotonic()
        assert client.get(f"{EVENTS}?wait_seconds=0.3").json() == {"items": [], "next": 0, "head": 0}
        assert time.monotonic() - began >= 0.3
        timer = threading.Timer(0.3, buy, args=[client, "u1"])
        timer.start()
        page = client.get(f"{EVENTS}?wait_seconds=30").json()
        timer.join()
        assert [event["member"] for event in page["items"]] == ["u1"]
        assert (page["next"], page["head"]) == (1, 1)


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Stream:
    """A reader of server-sent events, as plain as a browser's: fields, blank lines, the last id."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.headers["content-type"].startswith("text/event-stream")
        self.last_id = ""
        self.comments = 0
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        identity = ""
        data: list[str] = []
        for line in self._lines:
            name, _, value = line.partition(": ")
            if not line:
                self.last_id = identity or self.last_id
                if data:
                    yield json.loads("\n".join(data))
                data = []
            elif line.startswith(":"):
                self.comments += 1
            elif name == "id":
                identity = value
            elif name == "data":
                data.append(value)

    def take(self, count: int) -> list[dict[str, Any]]:
        events = iter(self)
        return [next(events) for _ in range(count)]


@pytest.fixture
def server(database_url: str, start_server: StartServer) -> Server:
    return start_server(database_url)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def test_a_stream_tells_what_happens_in_all_lanes(http: httpx.Client) -> None:
    with http.stream("GET", STREAM) as response:
        stream = Stream(response)
        buy(http, "u1")
        http.post("/api/v1/ip/allocate", json={"vm_id": "vm-1"}).raise_for_status()
        heard = stream.take(2)
        assert {(event["lane"], event["seq"], event["kind"]) for event in heard} == {
            ("hours", 1, "bid_placed"),
            ("addresses", 2, "address_assigned"),  # the network was the first
        }


def test_a_reader_that_was_cut_off_goes_on_behind_its_last_id(http: httpx.Client) -> None:
    buy(http, "u1", "u2", "u3")
    with http.stream("GET", STREAM, params={"after": "hours:0", "lanes": "hours"}) as response:
        stream = Stream(response)
        events = iter(stream)
        assert [next(events)["seq"], next(events)["seq"]] == [1, 2]
        last_id = "hours:2"
    buy(http, "u4")
    with http.stream("GET", STREAM, params={"lanes": "hours"}, headers={"Last-Event-ID": last_id}) as response:
        assert [event["seq"] for event in Stream(response).take(2)] == [3, 4]


def test_every_event_has_the_positions_behind_it_as_its_id(http: httpx.Client) -> None:
    buy(http, "u1")
    seen = []
    with http.stream("GET", STREAM, params={"lanes": "hours,addresses", "after": "hours:0,addresses:0"}) as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                seen.append(line)
            if len(seen) == 3:
                break
    # Which of two lanes is read first is nobody's promise.
    assert seen[0::2] == ["id: hours:0,addresses:0", "id: hours:1,addresses:1"]
    assert seen[1] in ("id: hours:1,addresses:0", "id: hours:0,addresses:1")


def test_a_stream_that_is_open_does_not_keep_the_server_from_ending(server: Server, http: httpx.Client) -> None:
    with http.stream("GET", STREAM) as response:
        waiting = HTTPConnection("127.0.0.1", server.port, timeout=60)
        waiting.request("GET", f"{EVENTS}?after=1&wait_seconds=60")
        stream = Stream(response)
        buy(http, "u1")
        assert len(stream.take(1)) == 1
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 30, "it was waited for"
        assert list(stream) == []
        answer = json.loads(waiting.getresponse().read())
        assert (answer["items"], answer["next"]) == ([], 1)
        waiting.close()
    assert "timeout graceful shutdown exceeded" not in server.read_log()
