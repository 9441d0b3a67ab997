"""The rule: price, then time. Pure, without a database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.hours import Bid, Supply, matching
from tests.hours.orders import a_bid, a_supply


def sell_to(bids: list[Bid], *, volume: int, min_price: int = 0) -> dict[str, int]:
    """Serve the bids in the order of their rank; return who got how many hours."""
    supply = a_supply(99, volume=volume, min_price=min_price)
    matches = matching.serve_supply(supply, sorted(bids, key=lambda bid: bid.rank))
    return {bid.username: given for bid, _, given in matches}


def buy_from(supplies: list[Supply], *, volume: int, price: int) -> dict[int, int]:
    """Serve one bid from the supplies in the order of their rank; return how many hours each supply gave."""
    bid = a_bid(99, volume=volume, price=price)
    matches = matching.serve_bid(bid, sorted(supplies, key=lambda supply: supply.rank))
    return {supply.supply_id: given for _, supply, given in matches}


def three_bids() -> list[Bid]:
    return [
        a_bid(1, username="u1", volume=100, price=3),
        a_bid(2, username="u2", volume=150, price=2),
        a_bid(3, username="u3", volume=50, price=4),
    ]


# ── a sell ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("volume", "min_price", "expected"),
    [
        pytest.param(250, 0, {"u3": 50, "u1": 100, "u2": 100}, id="the worked example"),
        pytest.param(50, 0, {"u3": 50}, id="no further than the hours go"),
        pytest.param(51, 0, {"u3": 50, "u1": 1}, id="the rest goes to the next price"),
        pytest.param(300, 0, {"u3": 50, "u1": 100, "u2": 150}, id="everybody in full"),
        pytest.param(400, 0, {"u3": 50, "u1": 100, "u2": 150}, id="more than is asked for"),
        pytest.param(400, 3, {"u3": 50, "u1": 100}, id="a bid at the minimum price matches, one below does not"),
        pytest.param(400, 5, {}, id="nobody pays the minimum"),
        pytest.param(1, 0, {"u3": 1}, id="a single hour"),
    ],
)
def test_a_sell_serves_the_highest_price_first(volume: int, min_price: int, expected: dict[str, int]) -> None:
    assert sell_to(three_bids(), volume=volume, min_price=min_price) == expected


def test_the_earlier_bid_is_filled_first_at_equal_price() -> None:
    late, early = a_bid(2, username="late", volume=10, price=3), a_bid(1, username="early", volume=10, price=3)
    assert sell_to([late, early], volume=15) == {"early": 10, "late": 5}


def test_a_bid_moved_to_the_back_is_filled_after_a_later_one_at_equal_price() -> None:
    moved, later = a_bid(1, username="moved", volume=10, price=3), a_bid(2, username="later", volume=10, price=3)
    moved.seq = 3
    assert sell_to([moved, later], volume=15) == {"later": 10, "moved": 5}


def test_a_price_of_zero_is_served_last_but_served() -> None:
    free, paid = a_bid(1, username="free", volume=10, price=0), a_bid(2, username="paid", volume=10, price=1)
    assert sell_to([free, paid], volume=20) == {"paid": 10, "free": 10}


# ── a buy ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("volume", "price", "expected"),
    [
        pytest.param(10, 5, {3: 10}, id="the lowest minimum price first"),
        pytest.param(25, 5, {3: 20, 1: 5}, id="then the one that came first"),
        pytest.param(45, 5, {3: 20, 1: 20, 2: 5}, id="then the one that came later"),
        pytest.param(90, 5, {3: 20, 1: 20, 2: 20, 4: 20}, id="a minimum that the price just reaches"),
        pytest.param(90, 4, {3: 20, 1: 20, 2: 20}, id="not a minimum above the price"),
        pytest.param(90, 0, {}, id="nothing for a price below all minimums"),
    ],
)
def test_a_buy_takes_the_lowest_minimum_price_first(volume: int, price: int, expected: dict[int, int]) -> None:
    supplies = [a_supply(number, volume=20, min_price=least) for number, least in ((1, 2), (2, 2), (3, 1), (4, 5))]
    assert buy_from(supplies, volume=volume, price=price) == expected


def test_a_trade_takes_from_both_and_closes_whoever_is_used_up() -> None:
    bid, supply = a_bid(1, volume=30, price=1), a_supply(2, volume=20)
    assert list(matching.serve_bid(bid, [supply])) == [(bid, supply, 20)]
    assert (bid.remaining, bid.allocated, bid.state) == (10, 20, "open")
    assert (supply.remaining, supply.allocated, supply.state) == (0, 20, "exhausted")


def test_a_bid_served_in_full_is_filled() -> None:
    bid, supply = a_bid(1, volume=20, price=1), a_supply(2, volume=30)
    list(matching.serve_supply(supply, [bid]))
    assert (bid.remaining, bid.state, supply.remaining, supply.state) == (0, "filled", 10, "open")


def test_no_offer_is_asked_for_beyond_the_last_one_needed() -> None:
    def one_and_no_more() -> Iterator[Supply]:
        yield a_supply(1, volume=10)
        raise AssertionError("asked for a second supply")

    bid = a_bid(9, volume=10, price=1)
    assert [volume for _, _, volume in matching.serve_bid(bid, one_and_no_more())] == [10]


# ── amendments ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("volume", "price", "keeps"),
    [
        pytest.param(9, 3, True, id="less volume"),
        pytest.param(10, 3, True, id="nothing changed"),
        pytest.param(11, 3, False, id="more volume"),
        pytest.param(10, 4, False, id="a higher price"),
        pytest.param(10, 2, False, id="a lower price"),
        pytest.param(9, 4, False, id="less volume and a new price"),
    ],
)
def test_only_less_volume_keeps_the_place(volume: int, price: int, *, keeps: bool) -> None:
    assert matching.keeps_place(a_bid(1, volume=10, price=3), volume=volume, price=price) is keeps


# ── liveness ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("now", "is_live"), [(99, True), (100, False), (101, False)])
def test_a_bid_is_dead_from_the_instant_it_expires(now: int, *, is_live: bool) -> None:
    bid = a_bid(1, volume=10, price=3)
    bid.expires_at = 100
    assert bid.is_live(now) is is_live


# ── guarantees ───────────────────────────────────────────────────────────────────────────────────────────────────────

quantities = st.integers(1, 30)
prices = st.integers(0, 5)
some_bids = st.lists(st.tuples(quantities, prices), max_size=12).map(
    lambda rows: [a_bid(number, volume=volume, price=price) for number, (volume, price) in enumerate(rows, 1)]
)
some_supplies = st.lists(st.tuples(quantities, prices), max_size=12).map(
    lambda rows: [a_supply(number, volume=volume, min_price=price) for number, (volume, price) in enumerate(rows, 1)]
)


@pytest.mark.property
@given(bids=some_bids, volume=quantities, min_price=prices)
def test_a_sell_gives_every_hour_once_and_never_passes_a_better_bid_over(
    bids: list[Bid], volume: int, min_price: int
) -> None:
    bids.sort(key=lambda bid: bid.rank)
    supply = a_supply(99, volume=volume, min_price=min_price)
    matches = list(matching.serve_supply(supply, bids))

    assert supply.allocated == sum(given for _, _, given in matches) == sum(bid.allocated for bid in bids)
    assert all(given >= 1 for _, _, given in matches)
    assert len({bid.bid_id for bid, _, _ in matches}) == len(matches)
    served = [bid for bid in bids if bid.allocated]
    assert bids[: len(served)] == served, "a bid waits while a worse one is served"
    assert all(bid.remaining == 0 for bid in served[:-1]), "a bid waits for a rest while a worse one is served"
    assert not any(bid.remaining and supply.remaining and bid.price >= min_price for bid in bids)
    assert all(bid.price >= min_price for bid in served)


@pytest.mark.property
@given(supplies=some_supplies, volume=quantities, price=prices)
def test_a_buy_gets_every_hour_it_may_have_and_never_passes_a_cheaper_supply_over(
    supplies: list[Supply], volume: int, price: int
) -> None:
    supplies.sort(key=lambda supply: supply.rank)
    bid = a_bid(99, volume=volume, price=price)
    available = sum(supply.remaining for supply in supplies if supply.min_price <= price)
    matches = list(matching.serve_bid(bid, supplies))

    assert bid.allocated == min(volume, available) == sum(supply.allocated for supply in supplies)
    assert sum(given for _, _, given in matches) == bid.allocated
    giving = [supply for supply in supplies if supply.allocated]
    assert supplies[: len(giving)] == giving
    assert all(supply.remaining == 0 for supply in giving[:-1])
    assert (bid.state == "filled") == (bid.remaining == 0)
    assert all((supply.state == "exhausted") == (supply.remaining == 0) for supply in supplies)
