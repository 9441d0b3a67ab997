"""An analyst's day: candles while the market runs, then the books in SQL, from another process, changing nothing."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from marketplace.client import Client
from tests.services.server import clean_environment


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as an analyst would."""
    command = [sys.executable, "-m", "marketplace", *arguments]
    return subprocess.run(
        command, cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=180, check=False
    )


def read_report(name: str, database_url: str, folder: Path) -> list[dict[str, str]]:
    done = run("report", name, "--csv", "--database-url", database_url, folder=folder)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def pick(rows: Sequence[dict[str, str]], *columns: str) -> set[tuple[str, ...]]:
    return {tuple(row[column] for column in columns) for row in rows}


def test_an_analyst_reads_the_day_while_the_market_runs(market: Client, database_url: str, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    market.buy("u1", volume=100, price=3)
    market.buy("u2", volume=150, price=2)
    market.buy("u3", volume=50, price=4)
    market.add_supply(250, provider="p1")
    market.add_supply(30, provider="p1", min_price=9)

    (candle,) = market.candles("1d", since=began.replace(hour=0, minute=0, second=0, microsecond=0)).items
    assert (candle.open, candle.high, candle.low, candle.close, candle.volume) == (4, 4, 2, 2, 250)

    before = market.book()
    got = read_report("allocations", database_url, tmp_path)
    assert pick(got, "username", "volume", "value") == {("u1", "100", "300"), ("u2", "100", "200"), ("u3", "50", "200")}
    (day,) = read_report("daily_volume", database_url, tmp_path)
    assert (day["day"], day["users"], day["volume"], day["value"]) == (str(began.date()), "3", "250", "700")
    assert float(day["average_price"]) == 2.8
    interest = read_report("open_interest", database_url, tmp_path)
    assert pick(interest, "side", "price", "volume") == {("bid", "2", "50"), ("supply", "9", "30")}
    (used,) = read_report("supply_utilisation", database_url, tmp_path)
    assert (used["provider"], used["volume"], used["allocated"]) == ("p1", "280", "250")
    assert len(read_report("fill_times", database_url, tmp_path)) == 3
    assert market.book() == before

    audited = run("db", "audit", "--database-url", database_url, folder=tmp_path)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "The books balance" in audited.stdout


def test_whoever_reads_the_log_misses_nothing_and_sees_nothing_twice(market: Client) -> None:
    market.buy("u1", volume=10, price=3)
    bid = market.place_bid("u2", volume=10, price=2)
    market.cancel_bid(bid.bid_id)
    first = list(market.events(page_size=1))
    assert [event.seq for event in first] == [1, 2, 3]
    market.sell(4)
    rest = list(market.events(after=first[-1].seq))
    assert [(event.kind, event.subject, event.member) for event in [*first, *rest]] == [
        ("bid_placed", "default/1", "u1"),
        ("bid_placed", "default/2", "u2"),
        ("bid_cancelled", "default/2", "u2"),
        ("supply_added", "default/4", None),
    ]
