"""Everybody at once, on one market or many, over two processes on Postgres or one on SQLite: the books balance."""

from __future__ import annotations

import pytest

from tests.races.town import Books, Town
from tests.races.traders import Noted, trade_all
from tests.services import postgres

TRADERS = 16
ABORTS_PER_COMMIT = 0.02


@pytest.mark.parametrize("markets", [1, 8, 32])
async def test_the_books_balance_when_all_trade_at_once(town: Town, markets: int) -> None:
    await race(town, markets=markets, orders=25)


@pytest.mark.soak
@pytest.mark.parametrize("markets", [1, 8, 32])
async def test_the_books_balance_when_all_trade_at_once_for_long(town: Town, markets: int) -> None:
    await race(town, markets=markets, orders=1_000)


async def race(town: Town, *, markets: int, orders: int) -> None:
    names = [f"market-{number}" for number in range(markets)]
    noted = await trade_all(town.urls, markets=names, traders=TRADERS, orders=orders)

    assert noted.strange == []
    assert noted.answers == TRADERS * orders
    books = await town.read_books()
    assert books.faults == []
    check_what_was_told(noted, books)
    assert books.allocated > 0, "nothing was traded, so nothing was raced for"
    # A request that was tried five times in vain, or met a bug, is counted here.
    for meter in ("busy_total", "poisonous_total", "outcome_unknown_total", "writer_failures_total"):
        assert town.meter(f"marketplace_lane_{meter}") == 0, meter
    assert town.aborts_per_commit() <= ABORTS_PER_COMMIT
    check_what_postgres_counted(town)


def check_what_was_told(noted: Noted, books: Books) -> None:
    """What was acknowledged is there, and nothing that was told has become untrue."""
    for bid_id, told in noted.bids.items():
        bid = books.bids[bid_id]
        assert (bid.market, bid.username) == (told.market, told.username)
        assert bid.allocated >= told.allocated, "hours that were acknowledged are gone"
        if told.state == "cancelled":
            assert (bid.state, bid.allocated) == ("cancelled", told.allocated), "hours were given to a cancelled bid"
    for supply_id, given in noted.supplies.items():
        assert books.supplies[supply_id].allocated >= given.allocated
    assert not [bid_id for bid_id, times in noted.cancelled.items() if times > 1], "cancelled twice"


def check_what_postgres_counted(town: Town) -> None:
    """Ask the other side too: our own meters could miss an abort."""
    if town.database_url.startswith("postgresql"):
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert postgres.execute(town.database_url, query)[0]["deadlocks"] == 0


async def test_every_kind_of_refusal_was_met_on_the_way(town: Town) -> None:
    """A race in which nobody is ever too late proves little."""
    noted = await trade_all(town.urls, markets=["only"], traders=TRADERS, orders=60)
    assert noted.strange == []
    wanted = {"hours.bid_closed", "hours.not_fillable", "hours.order_refused", "hours.supply_closed"}
    assert wanted <= set(noted.refused), noted.refused
    assert (await town.read_books()).faults == []
