"""The commands against real server processes and databases."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marketplace.cli import root
from marketplace.client import Client, Conflict, Mismatch, NotFound
from marketplace.wire import hours

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, line: str) -> list[str]:
    """Run a command that must succeed and return what it printed, line by line."""
    code = root.run(line.split())
    captured = capsys.readouterr()
    assert code == 0, captured.out + captured.err
    assert "\x1b" not in captured.out
    return [line.rstrip() for line in captured.out.splitlines()]


def test_the_demo_gives_100_100_and_50(capsys: Capture) -> None:
    printed = run(capsys, "demo")
    rows = [line.split() for line in printed if line.startswith("u")]
    table = [row for row in rows if len(row) == 5]
    assert table[-3:] == [
        ["u1", "100", "3", "100", "0"],
        ["u2", "150", "2", "100", "50"],
        ["u3", "50", "4", "50", "0"],
    ]


def test_a_simulation_on_a_server_of_its_own_balances(capsys: Capture) -> None:
    printed = run(capsys, "simulate --requests 300 --clients 8 --seed 3 --cancels 0.2 --batches 0.1")
    assert printed[0].endswith("seed 3.")
    assert printed[-1] == "The books balance."
    assert {"buy", "sell", "cancel", "batch", "all"} <= {line.partition(" ")[0] for line in printed}


def test_a_simulation_on_a_running_server_balances(capsys: Capture, start_server: StartServer, sqlite_url: str) -> None:
    server = start_server(sqlite_url)
    printed = run(capsys, f"simulate --url {server.url} -n 100 --clients 4")
    assert printed[-1] == "The books balance."


def test_a_day_at_the_keyboard(capsys: Capture, start_server: StartServer, sqlite_url: str) -> None:
    url = start_server(sqlite_url).url
    assert run(capsys, f"buy u1 100 3 --url {url}") == ["Bid 1: 0 allocated, 100 wait."]
    assert run(capsys, f"sell 30 --min-price 2 --provider p1 --url {url}") == ["Supply 2: 30 allocated, none left."]
    assert run(capsys, f"buy u2 5 9 --time-in-force ioc --url {url}") == ["Bid 3: 0 allocated, 5 dropped."]
    assert run(capsys, f"allocation u1 --url {url}") == ["30"]
    assert run(capsys, f"book --url {url}")[-1].split()[:5] == ["bid", "3", "70", "70", "1"]
    header, *rows = run(capsys, f"bids --username u1 --state open --url {url}")
    assert header.split()[:6] == ["bid", "username", "price", "volume", "allocated", "remaining"]
    assert [row.split()[:7] for row in rows] == [["1", "u1", "3", "100", "30", "70", "open"]]
    assert root.run(["bids", "--limit", "1", "--url", url]) == 0
    assert capsys.readouterr().err == "There are more: raise --limit.\n"
    assert [line.split()[0] for line in run(capsys, f"log --after 1 --url {url}")] == ["2", "3"]
    (event,) = run(capsys, f"log --json --limit 1 --url {url}")
    assert json.loads(event)["seq"] == 1


def test_a_refusal_is_one_sentence_with_its_code(capsys: Capture, start_server: StartServer, sqlite_url: str) -> None:
    url = start_server(sqlite_url).url
    assert root.run(["allocation", "nobody", "--url", url]) == 1
    assert capsys.readouterr().err.startswith("Refused: 'nobody' never placed a bid")
    assert root.run(["buy", "u1", "0", "1", "--url", url]) == 1
    assert "Refused: " in capsys.readouterr().err


def test_reports_schema_and_books_are_read_without_a_server(
    capsys: Capture, start_server: StartServer, sqlite_url: str
) -> None:
    server = start_server(sqlite_url)
    for line in ("buy u1 100 3", "sell 30"):
        run(capsys, f"{line} --url {server.url}")
    server.stop()
    header, row = run(capsys, f"report allocations --csv --database-url {sqlite_url}")
    assert dict(zip(header.split(","), row.split(","), strict=True))["username"] == "u1"
    assert "u1" in run(capsys, f"report allocations --database-url {sqlite_url}")[-1]
    assert run(capsys, f"db check --database-url {sqlite_url}")[-1].endswith("as it should be.")
    assert run(capsys, f"db upgrade --database-url {sqlite_url}")[-1].startswith("The schema is at")
    assert run(capsys, f"db audit --database-url {sqlite_url}")[-1].startswith("The books balance")


def test_a_database_is_brought_up_to_date_and_read_on_both_engines(capsys: Capture, empty_database_url: str) -> None:
    database = f"--database-url {empty_database_url}"
    if empty_database_url.startswith("sqlite"):
        Path(empty_database_url.removeprefix("sqlite:///")).touch()
    for line in ("db check", "db audit", "report allocations"):
        assert root.run(f"{line} {database}".split()) == 1
        assert "run `marketplace db upgrade`" in capsys.readouterr().err
    assert run(capsys, f"db upgrade {database}")[-1].startswith("The schema is at")
    assert run(capsys, f"db check {database}")[-1].endswith("as it should be.")
    empty = (
        "The books balance (bids 0, supplies 0, allocations 0, hours allocated 0, addresses assigned 0, transfers 0)."
    )
    assert run(capsys, f"db audit {database}") == [empty]
    for name in run(capsys, "report"):
        assert run(capsys, f"report {name} {database}") == ["No rows."]


def test_an_audit_of_broken_books_ends_with_code_1(capsys: Capture, start_server: StartServer, sqlite_url: str) -> None:
    server = start_server(sqlite_url)
    run(capsys, f"buy u1 100 3 --url {server.url}")
    server.stop()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE bids SET remaining = 60 WHERE bid_id = 1")
    connection.close()
    assert root.run(["db", "audit", "--database-url", sqlite_url]) == 1
    assert capsys.readouterr().out


def test_a_second_server_on_a_file_is_refused_with_a_sentence(
    capsys: Capture, start_server: StartServer, sqlite_url: str
) -> None:
    start_server(sqlite_url)
    assert root.run(["serve", "--port", "1", "--database-url", sqlite_url]) == 1
    assert "is in use by another process" in capsys.readouterr().err


def test_a_database_that_is_away_is_named_without_its_password(capsys: Capture) -> None:
    for line in ("db upgrade", "db check", "serve", "work"):
        assert root.run([*line.split(), "--database-url", "postgresql://me:secret@127.0.0.1:1/books"]) == 1
        sentence = capsys.readouterr().err
        assert sentence.startswith("The database books at 127.0.0.1:1")
        assert "secret" not in sentence


def test_a_simulation_with_several_workers_on_postgres_balances(
    capsys: Capture, start_server: StartServer, postgres_url: str
) -> None:
    server = start_server(postgres_url, "--workers", "2")
    printed = run(capsys, f"simulate --url {server.url} -n 200 --clients 8")
    assert printed[-1] == "The books balance."
    assert run(capsys, f"db audit --database-url {postgres_url}")[-1].startswith("The books balance (bids ")


def test_the_sdk_speaks_with_the_real_server(start_server: StartServer, sqlite_url: str) -> None:
    with Client(start_server(sqlite_url).url) as client:
        assert client.create_market("gpu").state == "open"
        bid = client.place_bid("u1", volume=10, price=3, market="gpu", idempotency_key="k")
        assert client.place_bid("u1", volume=10, price=3, market="gpu", idempotency_key="k") == bid
        with pytest.raises(Mismatch):
            client.place_bid("u1", volume=11, price=3, market="gpu", idempotency_key="k")
        assert client.preview(volume=1, price=9, market="gpu").allocated == 0
        assert client.amend_bid(bid.bid_id, market="gpu", volume=8, price=4).remaining == 8
        supply = client.add_supply(5, market="gpu", provider="p1")
        assert (supply.allocated, supply.state) == (5, "exhausted")
        orders: list[hours.BuyOrder | hours.SellOrder] = [hours.BuyOrder(5, 1, "u2"), hours.SellOrder(20, min_price=9)]
        results = client.run_orders(orders, market="gpu").results
        assert [result.remaining for result in results] == [5, 20]
        assert results[1].supply_id is not None
        assert client.withdraw_supply(results[1].supply_id, market="gpu").state == "withdrawn"
        assert client.cancel_bid(bid.bid_id, market="gpu").allocated == 5
        with pytest.raises(Conflict, match="changes no more"):
            client.cancel_bid(bid.bid_id, market="gpu")
        assert client.close_market("gpu") == client.market("gpu")
        with pytest.raises(Conflict):
            client.place_bid("u1", volume=1, price=1, market="gpu")
        assert client.open_market("gpu").state == "open"
        with pytest.raises(NotFound):
            client.bid(999, market="gpu")


def test_the_sdk_reads_every_page(start_server: StartServer, sqlite_url: str) -> None:
    with Client(start_server(sqlite_url).url) as client:
        client.run_orders([hours.BuyOrder(1, 1 + n, f"u{n % 2}") for n in range(7)])
        client.run_orders([hours.SellOrder(1, provider="p1") for _ in range(5)])
        assert len(list(client.bids(page_size=2))) == 7
        assert len(list(client.bids(page_size=2, username="u1", state="filled"))) == 2
        assert len(list(client.supplies(page_size=2, provider="p1"))) == 5
        assert [fill.price for fill in client.fills(page_size=2)] == [3, 4, 5, 6, 7]
        assert [each.price for each in client.allocations(page_size=2)] == [7, 6, 5, 4, 3]
        assert [event.seq for event in client.events(page_size=5)] == list(range(1, 13))
        assert [market.market for market in client.markets(page_size=1)] == ["default"]
        (candle,) = client.candles("1d").items
        assert (candle.open, candle.high, candle.low, candle.close, candle.volume) == (7, 7, 3, 3, 5)
        assert [level.price for level in client.book().bids] == [2, 1]
