"""The words of the line protocol: what is read exactly, and what is refused before anybody computes with it."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.auctions import entries
from marketplace.auctions.line_words import BrokenLine, Teller, WholeBid, read_said, to_whole_bid
from marketplace.foundation.clock import SECOND
from marketplace.wire import lines

BID = {"order_id": 7, "solver_id": "s1", "max_input": 100, "conversion_rate": 1.05, "valid_till": 1_800_000_000}


def bid_line(**changes: Any) -> bytes:
    return msgspec.json.encode({"SubmitBid": BID | changes})


def read_bid(line: bytes) -> WholeBid:
    said = read_said(line)
    assert isinstance(said, lines.SubmitBid)
    return to_whole_bid(said)


# ── from solvers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_is_read_as_what_it_says() -> None:
    assert read_said(b'{"Authenticate":"mk_1"}') == "mk_1"
    assert read_said(b'{"FulfillmentComplete":{"order_id":7,"solver_id":"s1"}}') == lines.FulfillmentComplete(7, "s1")
    assert read_said(bid_line()) == lines.SubmitBid(7, "s1", 100, Decimal("1.05"), 1_800_000_000)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\r\n",
        b"{}",
        b"[]",
        b"null",
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
        b'{"SubmitBid":',
        b'{"Submit_Bid":{}}',
        b'{"submit_bid":{"order_id":1}}',
        b'{"Authenticate":""}',
        b'{"Authenticate":"mk_1","FulfillmentComplete":{"order_id":7,"solver_id":"s1"}}',
        b'{"FulfillmentComplete":{"order_id":7,"solver_id":"s1","more":1}}',
        b'{"FulfillmentComplete":{"order_id":0,"solver_id":"s1"}}',
        b'{"FulfillmentComplete":{"order_id":"7","solver_id":"s1"}}',
        b'{"FulfillmentComplete":{"order_id":7,"solver_id":" "}}',
        b'{"FulfillmentComplete":{"order_id":7,"solver_id":"\xff"}}',
        b'{"FulfillmentComplete":{"order_id":92233720368547758080,"solver_id":"s1"}}',
        bid_line(max_input=0),
        bid_line(max_input=-1),
        bid_line(max_input=1.5),
        bid_line(max_input=10**9 + 1),
        bid_line(valid_till=-1),
        bid_line(valid_till=10**18),
        bid_line(conversion_rate=None),
        bid_line(conversion_rate="x"),
        bid_line(conversion_rate=[1]),
        bid_line().replace(b"1.05", b"Infinity"),
        bid_line().replace(b"1.05", b"NaN"),
        bid_line(solver_id="s" * 129),
        b'{"SubmitBid":' + b"[" * 5000,
    ],
)
def test_what_is_no_line_is_broken(line: bytes) -> None:
    with pytest.raises(BrokenLine):
        read_said(line)


@pytest.mark.parametrize(
    "rate", [b"1e999999", b"1e-999999", b'"NaN"', b'"Infinity"', b'"-Infinity"', b"0", b"-1", b'"sNaN"']
)
def test_an_absurd_rate_is_refused_before_it_is_written_out(rate: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(BrokenLine):
        read_bid(bid_line().replace(b"1.05", rate))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("max_input", "rate", "whole"),
    [(100, "1.0578", "1.05"), (100, "1.05", "1.05"), (3, "0.34", "0.333333333333333334"), (1, "7.9999", "7"),
     (1_000_000_000, "999.9999999999", "999.999999999")],
)  # fmt: skip
def test_a_rate_is_the_one_that_gives_a_whole_output(max_input: int, rate: str, whole: str) -> None:
    assert to_whole_bid(lines.SubmitBid(1, "s1", max_input, Decimal(rate), 0)).conversion_rate == whole


@given(
    st.integers(1, 10**9),
    st.decimals("0.000000000000000001", 10**12, allow_nan=False, allow_infinity=False, places=18).filter(
        lambda rate: 0 < rate < 10**12
    ),
    st.sampled_from([0, 2, 6, 8]),
)
def test_the_output_in_any_asset_is_the_whole_one(max_input: int, rate: Decimal, decimals: int) -> None:
    output = Fraction(rate) * max_input // 1
    if output < 1:
        with pytest.raises(BrokenLine):
            to_whole_bid(lines.SubmitBid(1, "s1", max_input, rate, 0))
        return
    bid = to_whole_bid(lines.SubmitBid(1, "s1", max_input, rate, 0))
    assert Fraction(bid.conversion_rate) * max_input * 10**decimals // 1 == output * 10**decimals


# ── to solvers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def told(*given_entries: entries.BookEntry) -> list[str]:
    teller = Teller()
    said = [teller.tell(msgspec.json.encode(entry)) for entry in given_entries]
    return [msgspec.json.encode(one).decode() for one in said if one is not None]


def added(order_id: int) -> entries.OrderAdded:
    at, payload = 1_800_000_000 * SECOND + 999_999, msgspec.Raw(b"null")
    return entries.OrderAdded(
        order_id, f"order {order_id}", payload, "credit", 6, None, "credit", 6, "10.00", at, at + SECOND, None
    )


def test_a_batch_is_told_when_all_of_it_is_there() -> None:
    assert told(added(3), added(4)) == []
    (line,) = told(added(3), added(4), entries.BatchCreated("a", 1, 0, (3, 4)))
    assert line == (
        '{"NewOrderBatch":[{"id":3,"description":"order 3","creation_time":1800000000},'
        '{"id":4,"description":"order 4","creation_time":1800000000}]}'
    )


def test_a_commitment_is_told_in_whole_units_and_seconds() -> None:
    at = 1_800_000_010 * SECOND
    made = entries.CommitmentCreated(9, 3, 5, "s1", 1, 1, "100.00", "105.999", at, at + SECOND, "ledger", None)
    (line,) = told(made)
    assert line == (
        '{"CommitmentNotification":{"order_id":3,"solver_id":"s1","input_amount":100,"min_output_amount":105,'
        '"deadline":1800000010}}'
    )


def test_an_order_that_ends_without_a_winner_is_told_and_the_rest_is_not() -> None:
    assert told(
        entries.OrderExpired(3), entries.OrderCancelled(4), entries.OrderFilled(5, 9, "s1", "1.00", "1.00", "0.00")
    ) == [
        '{"AuctionClosedNoWinner":3}',
        '{"AuctionClosedNoWinner":4}',
    ]
