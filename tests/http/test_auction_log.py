"""A book's log over HTTP: dense, the same for all, waited for and streamed, cut and resumed without loss or repeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests.conftest import StartServer
from tests.http.test_auctions import PATH, QUICK
from tests.http.test_events import Stream
from tests.http.test_gate import assert_problem
from tests.services.server import Server

LOG = f"{PATH}/books/quick/log"
STREAM = f"{LOG}/stream"


@pytest.fixture
def server(database_url: str, start_server: StartServer) -> Server:
    return start_server(database_url, "--jobs")


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        client.post(f"{PATH}/books", json={"book": "quick", **QUICK}).raise_for_status()
        yield client


def place(http: httpx.Client, count: int = 1) -> None:
    for number in range(count):
        body = {"username": f"u{number}", "book": "quick", "description": "x"}
        http.post(f"{PATH}/orders", json=body).raise_for_status()


def read(http: httpx.Client, *, until: int) -> list[dict[str, Any]]:
    """Read the log from its beginning by long polls, until it has so many entries."""
    found: list[dict[str, Any]] = []
    while len(found) < until:
        page = http.get(LOG, params={"from": len(found), "limit": 3, "wait_seconds": 15}).json()
        assert page["items"], "nothing came in time"
        assert page["next"] == page["items"][-1]["offset"] + 1 <= page["head"]
        found += page["items"]
    return found


def test_the_log_has_no_gaps_and_a_batch_is_together(http: httpx.Client) -> None:
    place(http, 12)
    found = read(http, until=15)
    assert [entry["offset"] for entry in found] == list(range(len(found)))
    seqs = [entry["seq"] for entry in found]
    assert seqs == sorted(set(seqs))
    for entry in found:
        if entry["kind"] == "BatchCreated":
            first = entry["data"]["first_offset"]
            batch = found[first : entry["offset"]]
            assert [one["order_id"] for one in batch] == entry["data"]["order_ids"]
            assert {one["kind"] for one in batch} == {"OrderAdded"}


def test_a_page_from_beyond_the_end_is_empty(http: httpx.Client) -> None:
    assert http.get(f"{LOG}?from=7").json() == {"items": [], "next": 7, "head": 0}


def test_a_long_poll_is_answered_by_what_happens(http: httpx.Client) -> None:
    began = time.monotonic()
    assert http.get(f"{LOG}?wait_seconds=0.3").json()["items"] == []
    assert time.monotonic() - began >= 0.3
    timer = threading.Timer(0.3, place, args=[http])
    timer.start()
    page = http.get(f"{LOG}?wait_seconds=15").json()
    timer.join()
    assert page["items"][0]["kind"] == "OrderAdded"


def test_a_stream_that_is_cut_again_and_again_resumes_without_loss_or_repeat(http: httpx.Client) -> None:
    heard: list[dict[str, Any]] = []
    last_id: str | None = None
    placing = threading.Thread(target=place, args=[http, 20])
    placing.start()
    while len(heard) < 24:
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        with http.stream("GET", STREAM, params={"from": 0}, headers=headers) as response:
            heard += Stream(response).take(1 + len(heard) % 3)
        last_id = str(heard[-1]["offset"])
    placing.join()
    assert [entry["offset"] for entry in heard] == list(range(len(heard)))
    assert heard == read(http, until=len(heard))[: len(heard)]


def test_a_stream_without_a_place_begins_now(http: httpx.Client) -> None:
    place(http)
    before = len(read(http, until=2))
    with http.stream("GET", STREAM) as response:
        stream = Stream(response)
        place(http)
        assert stream.take(1)[0]["offset"] == before


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 20, "٣", "quick:1"])
def test_a_last_event_id_that_is_no_offset_is_refused(http: httpx.Client, given: str) -> None:
    answer = http.get(STREAM, headers={b"Last-Event-ID": given.encode()})
    assert assert_problem(answer, 400, "invalid")["field"] == "Last-Event-ID"


def test_readers_are_let_go_when_the_server_is_to_end(server: Server, http: httpx.Client) -> None:
    with http.stream("GET", STREAM) as response:
        waiting = HTTPConnection("127.0.0.1", server.port, timeout=20)
        waiting.request("GET", f"{LOG}?wait_seconds=60")
        next(response.iter_lines())
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert waiting.getresponse().status == 200
        waiting.close()


def test_what_bids_say_is_sealed_until_their_round_is_selected(http: httpx.Client) -> None:
    place(http)
    read(http, until=2)
    order_id = http.get(f"{PATH}/orders").json()["items"][0]["order_id"]
    body = {"max_input": "77", "conversion_rate": "1.23456", "valid_till": "2099-01-01T00:00:00Z"}
    for solver in ("secretive", "discreet"):
        http.post(f"{PATH}/orders/{order_id}/bids", json=body | {"solver": solver}).raise_for_status()
    found = read(http, until=6)
    kinds = [entry["kind"] for entry in found]
    told_at = kinds.index("BidSelected")
    before, selected = found[:told_at], found[told_at]
    events = http.get("/api/v1/events?lane=money&topic=auctions&limit=1000").json()["items"]
    events_before = [event for event in events if event["seq"] < selected["seq"]]
    for sealed in ("secretive", "discreet", "1.23456", "95.06112", "77.00", "77000000"):
        assert sealed not in str([entry["data"] for entry in before]), sealed
        assert sealed not in str([(event["data"], event["member"], event["subject"]) for event in events_before])
    assert [one["rank"] for one in selected["data"]["bids"]] == [1, 2]
    assert selected["data"]["winning_output"] == "95.06112"
