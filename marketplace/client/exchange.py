"""When to try again: the whole conversation about one call, without doing any I/O.

`converse` is a generator. It yields a `Call` to be sent or a number of seconds to be slept, takes the response or the
transport's error back, and returns the answer or raises. The two clients differ only in how they send and sleep.

Why every call may be tried again:
- a GET changes nothing;
- a POST, and a DELETE that releases an address or a network, carries an Idempotency-Key, the same at every try, so that
  the server carries it out once and replays its answer to the later tries;
- another DELETE or PATCH sets a state and adds nothing, so twice is as good as once. But after a lost answer the
  second try may be refused because the first one took effect (409, the bid is cancelled already). Then, and only then,
  the state is read: if it is the one asked for, the call has succeeded and that is its answer; else the 409 stands.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from marketplace.client import errors
from marketplace.client.requests import Call

T = TypeVar("T")

Conversation = Generator[Call[T] | float, httpx.Response | httpx.RequestError | None, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How long to insist. No try begins after `total_seconds`; one under way may end after them.

    The n-th pause is drawn from 0 to `first_delay_seconds` doubled n - 1 times (at most `longest_delay_seconds`), so
    that many clients do not come back at once, and is never shorter than what the server's Retry-After asks for.
    """

    tries: int = 10
    total_seconds: float = 30.0
    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 5.0

    def pause_seconds(self, attempt: int, *, at_least: float, share: float) -> float:
        """Return the pause after the attempt (from 1); `share` is the jitter, from 0 to 1."""
        ceiling = min(self.longest_delay_seconds, self.first_delay_seconds * 2.0 ** min(attempt - 1, 60))
        return max(at_least, ceiling * share)


DEFAULT_RETRY = Retry()
NEVER_AGAIN = Retry(tries=1)


@dataclass(frozen=True, slots=True)
class Patience:
    """What a conversation needs to know of the world: the bounds, a monotonic clock and a source of jitter."""

    retry: Retry
    clock: Callable[[], float]
    jitter: Callable[[], float] = random.random


def converse(call: Call[T], patience: Patience) -> Conversation[T]:
    """Send until there is an answer, a refusal, or no patience left. Raises MarketplaceError."""
    deadline = patience.clock() + patience.retry.total_seconds
    has_lost_an_answer = False
    attempt = 1
    while True:
        outcome = yield call
        failure = _judge(outcome, call)
        if failure is None:
            return _decode(outcome, call)
        has_lost_an_answer |= not failure.outcome_known
        pause = patience.retry.pause_seconds(
            attempt, at_least=failure.retry_after_seconds or 0.0, share=patience.jitter()
        )
        is_last = attempt >= patience.retry.tries or patience.clock() + pause > deadline
        if is_last or not failure.may_be_tried_again:
            return (yield from _conclude(call, failure, patience, has_lost_an_answer=has_lost_an_answer))
        yield pause
        attempt += 1


def _conclude(
    call: Call[T], failure: errors.MarketplaceError, patience: Patience, *, has_lost_an_answer: bool
) -> Conversation[T]:
    """Raise the failure, unless it only says that an earlier try, whose answer was lost, had succeeded."""
    if has_lost_an_answer and call.goal is not None and isinstance(failure, errors.Conflict):
        state = yield from _read(call.goal.read, patience)
        if call.goal.is_reached(state):
            return state
    # A refusal is the last word on every try: the key, or the state just read, speaks for the earlier ones too. Who was
    # not let in at all this time may have been the time before.
    was_let_in = not isinstance(failure, errors.Unauthenticated | errors.RateLimited)
    is_refusal = was_let_in and failure.status is not None and 400 <= failure.status < 500
    failure.outcome_known = is_refusal or not has_lost_an_answer
    raise failure


def _read(call: Call[T], patience: Patience) -> Conversation[T]:
    """Read the state that settles another call; where it cannot be read, that call's outcome stays unknown."""
    try:
        return (yield from converse(call, patience))
    except errors.MarketplaceError as error:
        error.outcome_known = False
        raise


def _judge(outcome: httpx.Response | httpx.RequestError | None, call: Call[T]) -> errors.MarketplaceError | None:
    assert outcome is not None, "a call that was yielded is answered with a response or an error"
    if isinstance(outcome, httpx.RequestError):
        return errors.from_transport(outcome, _address(outcome), key=call.key)
    return None if outcome.is_success else errors.from_response(outcome, key=call.key)


def _decode(outcome: httpx.Response | httpx.RequestError | None, call: Call[T]) -> T:
    assert isinstance(outcome, httpx.Response)
    try:
        return call.read(outcome)
    except msgspec.DecodeError as error:
        raise errors.from_body(outcome, error, key=call.key) from error


def _address(error: httpx.RequestError) -> str:
    try:
        return str(error.request.url.copy_with(path="/", query=None)).rstrip("/")
    except RuntimeError:  # httpx: no request was attached
        return "the given address"
