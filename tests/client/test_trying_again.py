"""Which failures are tried again, for how long, and what keeps that safe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from marketplace import client
from marketplace.client import NEVER_AGAIN, MarketplaceError, Retry
from marketplace.wire import addresses, hours
from tests.client.callers import Caller, answers, problem

Callers = Callable[..., Caller]

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BOUGHT = hours.Bought(1, 0, 5)


def success(answer: msgspec.Struct) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(answer))


def bid(state: hours.BidState, *, volume: int = 100, price: int = 3) -> hours.Bid:
    return hours.Bid(7, "default", "u1", volume, 0, 100, price, "gtc", state, NOON, None)


PASSING: list[httpx.Response | Exception] = [
    httpx.ConnectError("refused"),
    httpx.ReadError("reset"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("disconnected"),
    httpx.Response(502),
    httpx.Response(504),
    problem(503, "busy", retry_after="1"),
    problem(500, "outcome_unknown"),
]

LASTING: list[tuple[httpx.Response, type[MarketplaceError], str]] = [
    (problem(400, "invalid", field="volume"), client.Invalid, "invalid"),
    (problem(401, "unauthenticated"), client.Unauthenticated, "unauthenticated"),
    (problem(402, "unaffordable"), client.Unaffordable, "unaffordable"),
    (problem(403, "forbidden"), client.Forbidden, "forbidden"),
    (problem(404, "hours.unknown_user"), client.NotFound, "hours.unknown_user"),
    (problem(409, "hours.market_closed"), client.Conflict, "hours.market_closed"),
    (problem(413, "too_large"), client.Invalid, "too_large"),
    (problem(422, "idempotency_mismatch"), client.Mismatch, "idempotency_mismatch"),
    (problem(500, "internal_error"), client.ServerError, "internal_error"),
    (problem(503, "exhausted"), client.Unavailable, "exhausted"),
    (httpx.Response(500, text="<html>"), client.ServerError, "http_500"),
    (httpx.Response(302), client.Unintelligible, "http_302"),
]


@pytest.mark.parametrize("passing", PASSING, ids=repr)
def test_a_passing_failure_is_tried_again_with_the_same_key(caller: Callers, passing: Any) -> None:
    call = caller(answers(passing, passing, success(BOUGHT)))
    assert call("buy", "u1", volume=5, price=1) == BOUGHT
    assert len(call.requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in call.requests}) == 1
    assert len({request.content for request in call.requests}) == 1


@pytest.mark.parametrize(
    ("response", "kind", "code"), LASTING, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_refusal_is_raised_at_once_as_its_kind(
    caller: Callers, response: httpx.Response, kind: type[MarketplaceError], code: str
) -> None:
    call = caller(answers(response))
    with pytest.raises(MarketplaceError) as caught:
        call("sell", 5)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (response.status_code, code)
    assert caught.value.outcome_known
    assert call.slept == []


def test_an_error_carries_every_member_of_the_problem(caller: Callers) -> None:
    call = caller(answers(problem(400, "invalid", "The volume is negative.", field="volume", index=4)))
    with pytest.raises(client.Invalid, match="The volume is negative") as caught:
        call("sell", -5)
    assert (caught.value.detail, caught.value.field) == ("The volume is negative.", "volume")
    assert caught.value.problem["index"] == 4


def test_two_calls_have_two_keys_and_a_given_key_is_kept(caller: Callers) -> None:
    call = caller(lambda _: success(BOUGHT))
    for named in ({}, {}, {"idempotency_key": "mine"}):
        call("buy", "u1", volume=5, price=1, **named)
    first, second, third = (request.headers["Idempotency-Key"] for request in call.requests)
    assert first != second
    assert third == "mine"


def test_tries_are_bounded_and_the_last_failure_is_raised(caller: Callers) -> None:
    call = caller(lambda _: problem(503, "busy", retry_after="0"), Retry(tries=3))
    with pytest.raises(client.Unavailable):
        call("sell", 5)
    assert len(call.requests) == 3


def test_no_try_begins_after_the_total_time(caller: Callers) -> None:
    call = caller(lambda _: problem(503, "busy", retry_after="4"), Retry(tries=100, total_seconds=10))
    with pytest.raises(client.Unavailable):
        call("sell", 5)
    assert [round(pause) for pause in call.slept] == [4, 4]


def test_never_again_tries_once(caller: Callers) -> None:
    call = caller(lambda _: httpx.Response(502), NEVER_AGAIN)
    with pytest.raises(client.ServerError):
        call("sell", 5)
    assert len(call.requests) == 1


def test_a_retry_after_in_another_form_is_left_to_the_backoff(caller: Callers) -> None:
    busy = problem(503, "busy", retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    call = caller(answers(busy, success(BOUGHT)))
    assert call("buy", "u1", volume=5, price=1) == BOUGHT


def test_pauses_double_up_to_a_bound_and_heed_retry_after() -> None:
    retry = Retry(first_delay_seconds=0.1, longest_delay_seconds=1.0)
    pauses = [retry.pause_seconds(attempt, at_least=0, share=1.0) for attempt in (1, 2, 3, 4, 5, 6, 10_000)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])
    assert retry.pause_seconds(1, at_least=3, share=0.5) == 3
    assert retry.pause_seconds(3, at_least=0, share=0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("steps", "known"),
    [
        ([httpx.ConnectError("refused")] * 2, True),
        ([httpx.ReadTimeout("slow")] * 2, False),
        ([httpx.ReadError("reset"), problem(503, "busy", retry_after="0")], False),
        ([problem(503, "busy", retry_after="0")] * 2, True),
        ([problem(500, "outcome_unknown")] * 2, False),
        ([httpx.ReadError("reset"), problem(409, "hours.market_closed")], True),
    ],
)
def test_an_error_says_whether_the_outcome_is_known(caller: Callers, steps: Any, known: bool) -> None:
    call = caller(answers(*steps), Retry(tries=2))
    with pytest.raises(MarketplaceError) as caught:
        call("sell", 5, idempotency_key="mine")
    assert caught.value.outcome_known is known
    assert caught.value.idempotency_key == "mine"


def test_a_cancel_whose_answer_was_lost_succeeds_when_the_bid_is_cancelled(caller: Callers) -> None:
    call = caller(answers(httpx.ReadError("reset"), problem(409, "hours.bid_not_open"), success(bid("cancelled"))))
    assert call("cancel_bid", 7) == bid("cancelled")
    assert [request.method for request in call.requests] == ["DELETE", "DELETE", "GET"]


def test_a_cancel_whose_answer_was_lost_conflicts_when_the_bid_was_filled(caller: Callers) -> None:
    call = caller(answers(httpx.ReadError("reset"), problem(409, "hours.bid_not_open"), success(bid("filled"))))
    with pytest.raises(client.Conflict) as caught:
        call("cancel_bid", 7)
    assert caught.value.outcome_known


@pytest.mark.parametrize(("method", "named"), [("release_ip", "vm1"), ("release_address", "10.0.0.2")])
def test_a_release_whose_answer_was_lost_is_sent_again_as_the_same_one(
    caller: Callers, method: str, named: str
) -> None:
    released = addresses.Assignment("10.0.0.2", "vm1", "10.0.0.1", "10.0.0.0/24", None)
    call = caller(answers(httpx.ReadError("reset"), success(released)))
    assert call(method, named) == released
    assert len({request.headers["Idempotency-Key"] for request in call.requests}) == 1


def test_a_network_that_is_exhausted_is_not_asked_again(caller: Callers) -> None:
    call = caller(answers(problem(503, "addresses.network_exhausted")))
    with pytest.raises(client.Unavailable) as caught:
        call("allocate_ip", "vm1")
    assert not caught.value.may_be_tried_again


def test_a_cancel_that_is_refused_at_once_is_not_looked_into(caller: Callers) -> None:
    call = caller(answers(httpx.ConnectError("refused"), problem(409, "hours.bid_not_open")))
    with pytest.raises(client.Conflict):
        call("cancel_bid", 7)
    assert [request.method for request in call.requests] == ["DELETE", "DELETE"]


def test_an_amend_whose_answer_was_lost_succeeds_when_the_bid_is_as_asked_for(caller: Callers) -> None:
    filled = bid("filled", volume=100, price=5)
    call = caller(answers(httpx.ReadTimeout("slow"), problem(409, "hours.bid_not_open"), success(filled)))
    assert call("amend_bid", 7, price=5) == filled


def test_the_outcome_stays_unknown_when_the_state_cannot_be_read(caller: Callers) -> None:
    call = caller(answers(httpx.ReadError("reset"), problem(409, "hours.bid_not_open"), httpx.Response(500)))
    with pytest.raises(client.ServerError) as caught:
        call("cancel_bid", 7)
    assert not caught.value.outcome_known


def test_who_has_sent_too_much_comes_back_when_told(caller: Callers) -> None:
    call = caller(answers(problem(429, "rate_limited", retry_after="3"), success(bid("open"))))
    assert call("bid", 7) == bid("open")
    assert call.slept == [3]


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (401, "unauthenticated")])
def test_who_is_not_let_in_again_does_not_know_what_became_of_the_first_try(
    caller: Callers, status: int, code: str
) -> None:
    call = caller(answers(httpx.ReadError("reset"), problem(status, code)), Retry(tries=2))
    with pytest.raises(MarketplaceError) as caught:
        call("sell", 5)
    assert not caught.value.outcome_known
