"""A server whose markets are alive: an hour of trading behind it, orders in every phase, containers and an eviction."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from marketplace import hours
from marketplace.client import Client, MarketplaceError
from marketplace.database import Lane, open_database, schema
from marketplace.foundation import clock

TRADERS = ("ann", "bob", "cleo", "dana", "eli")
SOLVERS = ("kestrel", "heron", "osprey")
MINUTES = 55
PATIENCE_SECONDS = 30


def make_history(database_url: str) -> None:
    """Migrate a database and trade hours in it for as long as charts show, on a clock that ends now."""
    schema.upgrade(database_url)
    asyncio.run(_trade(database_url))


async def _trade(database_url: str) -> None:
    """Walk the price about, and let most of what is bid be filled."""
    source, now = random.Random(7), [clock.now() - MINUTES * clock.MINUTE]
    database = open_database(database_url)
    lane = Lane(hours.LANE, database, hours.handlers(), clock=lambda: now[0])
    await lane.start()
    for minute in range(MINUTES):
        now[0] += clock.MINUTE
        price = round(40 + 9 * math.sin(minute / 8) + 4 * math.sin(minute / 3))
        for _ in range(4):
            at, volume = price + source.randint(-2, 2), source.randint(5, 60)
            offered: list[hours.AddSupply | hours.PlaceBid] = [
                hours.AddSupply("default", volume, at, source.choice(TRADERS)),
                hours.PlaceBid("default", source.choice(TRADERS), volume + source.randint(-4, 0), at, "ioc"),
            ]
            for command in offered:
                await lane.run(command)
    for level in range(1, 13):
        await lane.run(hours.PlaceBid("default", source.choice(TRADERS), source.randint(20, 300), 36 - level, "gtc"))
        await lane.run(hours.AddSupply("default", source.randint(20, 300), 54 + level, source.choice(TRADERS)))
    await lane.drain()
    await database.close()


def fill_with_life(url: str) -> None:
    """Do what members of a market do."""
    with Client(url) as client:
        client.place_bid("ann", volume=120, price=34)
        client.place_bid("ann", volume=40, price=41)
        _pay(client)
        _run_containers(client)
        _auction(client)


def _pay(client: Client) -> None:
    for username in ("ann", *SOLVERS):
        client.deposit(username, "5000", reason="card")
    for to, amount, reason in (("bob", "12.50", "lunch"), ("cleo", "140", "a month of storage"), ("dana", "3", "")):
        client.transfer(to, amount, username="ann", **({"reason": reason} if reason else {}))


# ── containers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _run_containers(client: Client) -> None:
    """Fill two nodes, wait, and let somebody bid more than one who runs."""
    client.set_spot_pool("default", minimum_runtime_seconds=1, notice_seconds=90)
    for node in ("rack-1", "rack-2"):
        client.add_spot_node(
            node,
            backend="simulated",
            cpu_millis=4_000,
            memory_mib=8_192,
            settings={"start_seconds": [0, 0], "fails_percent": 0, "hangs_percent": 0, "exits_percent": 0},
        )
    bids = [_bid_for_container(client, TRADERS[number % 5], str(2 + number)) for number in range(8)]
    _wait(lambda: all(client.spot_bid(one).state == "running" for one in bids))
    time.sleep(1.5)  # until nobody is protected any more
    for username, price in (("eli", "14"), ("bob", "1.5"), ("ann", "1")):
        _bid_for_container(client, username, price)


def _bid_for_container(client: Client, username: str, per_minute: str) -> int:
    placed = client.place_spot_bid(
        "render:4", cpu_millis=1_000, memory_mib=2_048, per_minute=per_minute, username=username
    )
    return placed.bid_id


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _auction(client: Client) -> None:
    """Have orders filled, one reassigned, one delivered in part, and some that take bids."""
    client.change_auction_book(
        "default", tick_seconds=0.1, bidding_window_seconds=0.6, fulfil_seconds=1.5, grace_seconds=0.3
    )
    for number, wanted in enumerate(("render a film", "index a library", "fold proteins", "train a small model")):
        winner = _bid_all(client, _put_out(client, wanted), best=number % 3)
        if wanted != "fold proteins":
            client.deposit_output(winner[0], solver=winner[1])
        _wait(lambda order_id=winner[0]: client.order(order_id).state != "committed" or _take_over(client, order_id))  # type: ignore[misc]
    client.change_auction_book("default", fulfil_seconds=75)
    for wanted, part in (("translate a handbook", 61), ("sequence a genome", 0)):
        order_id, solver = _bid_all(client, _put_out(client, wanted), best=part % 3)
        if part:
            client.deposit_output(order_id, part, solver=solver)
    client.change_auction_book("default", bidding_window_seconds=80)
    for number, wanted in enumerate(("route a fleet of vans", "price ten thousand options", "compress an archive")):
        order_id = _put_out(client, wanted)
        for solver in SOLVERS[:number]:
            _bid(client, order_id, solver, "1.01")


def _put_out(client: Client, wanted: str) -> int:
    placed = client.place_order(wanted, username="ann", input_budget=100, limit_output=90, payload={"priority": 1})
    _wait(lambda: client.order(placed.order_id).state == "open")
    return placed.order_id


def _bid_all(client: Client, order_id: int, *, best: int) -> tuple[int, str]:
    """Let all solvers bid, and return who wins, once it has to deliver."""
    for number, solver in enumerate(SOLVERS):
        _bid(client, order_id, solver, "1.09" if number == best else f"1.0{number + 2}")
    _wait(lambda: client.order(order_id).state == "committed")
    return order_id, SOLVERS[best]


def _bid(client: Client, order_id: int, solver: str, rate: str) -> None:
    till = datetime.now(UTC) + timedelta(hours=1)
    client.bid_on_order(order_id, max_input=100, conversion_rate=rate, valid_till=till, solver=solver)


def _take_over(client: Client, order_id: int) -> bool:
    """Let whoever the order was reassigned to deliver."""
    for promise in client.commitments(order_id=order_id, state="live"):
        if promise.rank > 1:
            client.deposit_output(order_id, solver=promise.solver)
    return False


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _holds(is_so):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def _holds(is_so: Callable[[], bool]) -> bool:
    try:
        return is_so()
    except MarketplaceError:  # what was asked for came a moment too late, and is asked for again
        return False
