"""Clients of a server that is about to be killed: they note what they were told, and compare it with the books."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import sqlalchemy as sa

from marketplace import hours
from marketplace.database import open_database

PATIENCE_SECONDS = 120.0
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Order:
    """What a client sends. A buy's username and a sell's volume are its own, so that each is found again."""

    path: str
    body: dict[str, Any]

    @property
    def name(self) -> object:
        return self.body.get("username", self.body["volume"])


@dataclass
class Told:
    """What the clients were told, by the answer."""

    done: list[tuple[Order, int]] = field(default_factory=list)
    """Answered 200, with the id."""
    refused: list[Order] = field(default_factory=list)
    """Answered 503 with Retry-After: nothing happened."""
    unknown: list[Order] = field(default_factory=list)
    """Answered 500 outcome_unknown: nobody knows."""
    unheard: list[Order] = field(default_factory=list)
    """Sent, and the connection broke: nobody knows."""
    strange: list[str] = field(default_factory=list)
    """Any other answer; there must be none."""


class Crowd:
    """Clients in threads, each with one request on its way at a time. Use it as a context manager."""

    _numbers = itertools.count(1)

    def __init__(self, port: int, *, clients: int = 12) -> None:
        self.told = Told()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._trade, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client hear its last answer, and leave."""
        self._stop.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS)
            assert not thread.is_alive(), "a client still waits for its answer"

    def wait_for_more(self, count: int, *, within_seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until `count` more orders were acknowledged; return how long that took."""
        started = time.monotonic()
        wanted = len(self.told.done) + count
        while len(self.told.done) < wanted:
            assert time.monotonic() - started < within_seconds, f"not served within {within_seconds} s: {self.told}"
            time.sleep(0.005)
        return time.monotonic() - started

    def _trade(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        while not self._stop.is_set():
            order = self._next_order()
            if not self._connect(connection):
                self._stop.wait(0.02)
                continue
            try:
                connection.request("POST", order.path, json.dumps(order.body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self._note(order, answer, answer.read())
            except (OSError, http.client.HTTPException):
                self.told.unheard.append(order)
                connection.close()
        connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> bool:
        """Connect where it is not yet: an order that could not be sent was none."""
        if connection.sock is None:
            with contextlib.suppress(OSError):
                connection.connect()
        return connection.sock is not None

    def _next_order(self) -> Order:
        number = next(self._numbers)
        if number % 10 == 0:
            return Order("/sell", {"volume": number})
        return Order("/buy", {"username": f"user {number}", "volume": 1 + number % 7, "price": number % 5})

    def _note(self, order: Order, answer: http.client.HTTPResponse, body: bytes) -> None:
        document = json.loads(body)
        if answer.status == 200:
            self.told.done.append((order, document.get("bid_id") or document.get("supply_id")))
        elif answer.status == 503 and answer.getheader("Retry-After"):
            self.told.refused.append(order)
        elif answer.status == 500 and document.get("code") == "outcome_unknown":
            self.told.unknown.append(order)
        else:
            self.told.strange.append(f"{answer.status} {document}")


# ── the books ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Books:
    """What the database says: contents by id, and what the audit finds wrong."""

    rows: dict[int, tuple[Any, ...]]
    faults: list[str]

    def times(self) -> Counter[object]:
        """Return how often each order took effect."""
        return Counter(row[0] for row in self.rows.values())


def read_books(url: str) -> Books:
    """Read and audit the market; no server need run."""

    async def read() -> Books:
        database = open_database(url)
        try:
            return Books(await database.read(_rows), await database.report(hours.audit))
        finally:
            await database.close()

    return asyncio.run(read())


def _rows(tx: sa.Connection) -> dict[int, tuple[Any, ...]]:
    bids = tx.exec_driver_sql("SELECT bid_id, username, volume, price FROM bids").fetchall()
    supplies = tx.exec_driver_sql("SELECT supply_id, volume FROM supplies").fetchall()
    return {row[0]: tuple(row[1:]) for row in [*bids, *supplies]}


def check(url: str, *crowds: Crowd, unheard_may_have_happened: bool = True) -> None:
    """Assert that everybody was told the truth, that nothing happened twice, and that the books balance."""
    books = read_books(url)
    times = books.times()
    for crowd in crowds:
        told = crowd.told
        assert told.strange == []
        for order, identity in told.done:
            assert books.rows.get(identity) == tuple(order.body.values()), f"acknowledged as {identity}, and lost"
        assert [order for order in told.refused if times[order.name]] == [], "refused, and yet it happened"
        if not unheard_may_have_happened:
            assert [order for order in told.unheard if times[order.name]] == [], "it happened, and nobody was told"
    assert {name: count for name, count in times.items() if count > 1} == {}
    assert books.faults == []
