"""What each method of auctions sends, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from marketplace.client import Conflict, Unauthenticated, Unreachable
from marketplace.wire import auctions
from tests.client.callers import Caller, answers, problem

Callers = Callable[..., Caller]

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PATH = "/api/v1/auctions"
NIGHT = f"{PATH}/books/night"
BOOK = auctions.AuctionBook("night", 2.0, 5, 5.0, 10.0, 2.0, "3.00", "ledger", NOON)
ORDER = auctions.Order(
    7, "night", None, "render", {"fps": 24}, "credit", "90.00", "credit", "100.00", "open", 1, 2, NOON, NOON, NOON,
    None, None,
)  # fmt: skip
BID = auctions.SolverBid(9, 7, "night", "s1", "100.00", "1.05", "105.00", NOON, "live", NOON)
COMMITMENT = auctions.Commitment(
    11, 7, "night", "s1", 9, 1, 1, "credit", "100.00", "credit", "105.00", "0.00", "ledger", "3.00", None, "live", NOON,
    NOON, NOON, None, None,
)  # fmt: skip
ENTRY = auctions.Entry("night", 3, 14, NOON, 7, "OrderAdded", {"order_id": 7})
SOLVER = auctions.Solver("night", "s1", 3, 1, 0.08, None)

# method, arguments, named arguments, verb, path with query, body, answer
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Any, Any]] = [
    ("open_auction_book", ("night",), {"tick_seconds": 0.5, "bond": 3}, "POST", f"{PATH}/books",
     {"book": "night", "tick_seconds": 0.5, "bidding_window_seconds": 5.0, "fulfil_seconds": 10.0, "grace_seconds": 2.0,
      "bond": "3"}, BOOK),
    ("change_auction_book", ("night",), {"bond": None, "batch_size": 9}, "PATCH", NIGHT,
     {"batch_size": 9, "bond": None}, BOOK),
    ("change_auction_book", ("night",), {"bond": Decimal("1E+1"), "escrow": "claim"}, "PATCH", NIGHT,
     {"bond": "10", "escrow": "claim"}, BOOK),
    ("auction_book", ("night",), {}, "GET", NIGHT, None, BOOK),
    ("place_order", ("render",), {}, "POST", f"{PATH}/orders", {"description": "render"}, ORDER),
    ("place_order", ("render",),
     {"username": "ann", "book": "night", "payload": {"fps": 24}, "limit_output": 90, "output_asset": "hour",
      "input_budget": Decimal("100.5"), "expires_at": NOON}, "POST", f"{PATH}/orders",
     {"description": "render", "username": "ann", "book": "night", "payload": {"fps": 24}, "output_asset": "hour",
      "limit_output": "90", "input_budget": "100.5", "expires_at": "2026-01-31T12:00:00Z"}, ORDER),
    ("order", (7,), {}, "GET", f"{PATH}/orders/7", None, ORDER),
    ("cancel_order", (7,), {}, "DELETE", f"{PATH}/orders/7", None, ORDER),
    ("bid_on_order", (7,), {"max_input": 100, "conversion_rate": "1.05", "valid_till": NOON, "solver": "s1"}, "POST",
     f"{PATH}/orders/7/bids",
     {"max_input": "100", "conversion_rate": "1.05", "valid_till": "2026-01-31T12:00:00Z", "solver": "s1"}, BID),
    ("commitment", (11,), {"book": "night"}, "GET", f"{NIGHT}/commitments/11", None, COMMITMENT),
    ("deposit_output", (7,), {}, "POST", f"{PATH}/orders/7/deposits", {}, auctions.Deposited("105.00", COMMITMENT)),
    ("deposit_output", (7, "5.5"), {"reference": "c-11", "solver": "s1"}, "POST", f"{PATH}/orders/7/deposits",
     {"amount": "5.5", "reference": "c-11", "solver": "s1"}, auctions.Deposited("5.50", COMMITMENT)),
    ("claim_delivery", (7,), {"solver": "s1"}, "POST", f"{PATH}/orders/7/claims", {"solver": "s1"}, COMMITMENT),
    ("auction_log_page", ("night",), {"from_offset": 3, "wait_seconds": 5}, "GET",
     f"{NIGHT}/log?from=3&limit=500&wait_seconds=5", None, auctions.Entries([ENTRY], 4, 4)),
    ("solver", ("s 1",), {"book": "night"}, "GET", f"{NIGHT}/solvers/s%201", None, SOLVER),
]  # fmt: skip

LISTINGS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, Any, Any]] = [
    ("auction_books", (), {}, f"{PATH}/books?limit=500", BOOK, auctions.Books),
    ("orders", (), {"book": "night", "username": "ann", "state": "open"},
     f"{PATH}/orders?book=night&username=ann&state=open&limit=500", ORDER, auctions.AuctionOrders),
    ("order_bids", (7,), {"page_size": 2}, f"{PATH}/orders/7/bids?limit=2", BID, auctions.SolverBids),
    ("commitments", ("night",), {"order_id": 7, "solver": "s1", "state": "live"},
     f"{NIGHT}/commitments?order_id=7&solver=s1&state=live&limit=500", COMMITMENT, auctions.Commitments),
    ("solvers", ("night",), {}, f"{NIGHT}/solvers?limit=500", SOLVER, auctions.Solvers),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "args", "named", "verb", "target", "body", "answer"),
    CALLS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_method_sends_its_request_and_returns_the_struct(
    caller: Callers, method: str, args: Any, named: Any, verb: str, target: str, body: Any, answer: Any
) -> None:
    call = caller(answers(httpx.Response(200, content=msgspec.json.encode(answer))))
    assert call(method, *args, **named) == answer
    (request,) = call.requests
    assert (request.method, request.url.raw_path.decode()) == (verb, target)
    assert (msgspec.json.decode(request.content) if request.content else None) == body
    assert ("Idempotency-Key" in request.headers) == (verb == "POST")


@pytest.mark.parametrize(("method", "args", "named", "target", "row", "page"), LISTINGS)
def test_a_listing_yields_the_rows_of_every_page(
    caller: Callers, method: str, args: Any, named: Any, target: str, row: Any, page: Any
) -> None:
    pages = [page([row, row], next="ff"), page([row], next=None)]
    call = caller(answers(*[httpx.Response(200, content=msgspec.json.encode(each)) for each in pages]))
    assert call(method, *args, **named) == [row, row, row]
    first, second = (request.url.raw_path.decode() for request in call.requests)
    assert (first, second) == (target, f"{target}&after=ff")


def test_a_log_is_read_by_offset_until_its_head_is_reached(caller: Callers) -> None:
    pages = [auctions.Entries([ENTRY], 4, 9), auctions.Entries([ENTRY], 9, 9)]
    call = caller(answers(*[httpx.Response(200, content=msgspec.json.encode(each)) for each in pages]))
    assert call("auction_log", "night", from_offset=3) == [ENTRY, ENTRY]
    assert [request.url.params["from"] for request in call.requests] == ["3", "4"]


def test_a_log_is_followed_without_an_end(caller: Callers) -> None:
    pages = [auctions.Entries([ENTRY], 4, 4), auctions.Entries([], 4, 4)]
    replies = [httpx.Response(200, content=msgspec.json.encode(each)) for each in pages] + [httpx.Response(401)]
    call = caller(answers(*replies))
    with pytest.raises(Unauthenticated):
        call("follow_auction_log", "night", from_offset=3)
    asked = [dict(request.url.params) for request in call.requests]
    assert [each["from"] for each in asked] == ["3", "4", "4"]
    assert {each["wait_seconds"] for each in asked} == {"20"}


@pytest.mark.parametrize(("state", "is_reached"), [("cancelled", True), ("committed", False)])
def test_a_cancel_whose_answer_was_lost_is_settled_by_reading(caller: Callers, state: Any, is_reached: bool) -> None:
    order = msgspec.structs.replace(ORDER, state=state)
    refused = problem(409, "auctions.not_cancellable")
    call = caller(answers(httpx.ReadTimeout("lost"), refused, httpx.Response(200, content=msgspec.json.encode(order))))
    if is_reached:
        assert call("cancel_order", 7).state == "cancelled"
    else:
        with pytest.raises(Conflict):
            call("cancel_order", 7)


def test_a_deposit_whose_answer_was_lost_is_sent_again_under_the_same_key(caller: Callers) -> None:
    done = httpx.Response(201, content=msgspec.json.encode(auctions.Deposited("5.00", COMMITMENT)))
    call = caller(answers(httpx.ReadTimeout("lost"), httpx.ConnectError("away"), done))
    assert call("deposit_output", 7).amount == "5.00"
    assert len({request.headers["Idempotency-Key"] for request in call.requests}) == 1


def test_who_cannot_be_reached_says_whether_it_was_sent(caller: Callers) -> None:
    call = caller(answers(*[httpx.ConnectError("away") for _ in range(10)]))
    with pytest.raises(Unreachable) as caught:
        call("auction_book")
    assert caught.value.outcome_known
