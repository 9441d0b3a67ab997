"""Token buckets: what a key may send, what it is told, and that nobody pays for another."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation import settings
from marketplace.http import rate_limit
from marketplace.http.problems import RateLimited
from marketplace.http.rate_limit import LEFT, Left, RateLimit
from tests.http.keyed import keyed
from tests.http.test_gate import assert_problem


class Buckets:
    """Buckets on a stopwatch that moves only when a test says so."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self.seconds = 1000.0
        self.limit = RateLimit(per_second=per_second, burst=burst, clock=lambda: self.seconds)
        self.left: Left | None = None

    def take(self, name: str = "a") -> int | None:
        """Take a token and return None, or the seconds after which to come back."""
        scope: dict[str, Any] = {}
        try:
            self.limit.take(scope, name)
        except RateLimited as refusal:
            return refusal.retry_after_seconds
        finally:
            self.left = scope[LEFT]
        return None

    def taken(self, name: str = "a") -> int:
        """Take all that can be had now; return how many."""
        count = 0
        while self.take(name) is None:
            count += 1
        return count


def test_a_burst_and_then_as_many_as_come_back() -> None:
    buckets = Buckets(per_second=10, burst=20)
    assert buckets.taken() == 20
    for seconds, count in ((0.1, 1), (0.05, 0), (0.05, 1), (1.0, 10), (2.0, 20), (1000.0, 20)):
        buckets.seconds += seconds
        assert buckets.taken() == count, seconds


def test_what_is_left_and_when_to_come_back_is_told() -> None:
    buckets = Buckets(per_second=0.5, burst=3)
    told = [(buckets.take(), buckets.left) for _ in range(4)]
    assert told == [(None, (2, 2)), (None, (1, 4)), (None, (0, 6)), (2, (0, 6))]
    assert buckets.limit.policy == '"requests";q=3;w=6'
    buckets.seconds += 1.5
    assert buckets.take() == 1
    buckets.seconds += 0.5
    assert buckets.take() is None


def test_one_does_not_pay_for_another() -> None:
    buckets = Buckets(per_second=1, burst=2)
    assert buckets.taken("a") == 2
    assert buckets.taken("b") == 2


def test_who_rested_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_BUCKETS", 2)
    buckets = Buckets(per_second=1, burst=1)
    for name in "aba":
        buckets.take(name)
    assert buckets.take("b") == 1
    buckets.seconds += 1
    assert [buckets.take(name) for name in "acd"] == [None] * 3
    assert buckets.take("d") == 1
    assert buckets.take("a") is None, "forgotten, and so as good as full"


@given(st.integers(1, 50), st.floats(0.01, 1000), st.integers())
def test_never_more_than_the_burst_and_what_came_back(burst: int, per_second: float, seed: int) -> None:
    buckets, dice, count = Buckets(per_second=per_second, burst=burst), random.Random(seed), 0
    begun = buckets.seconds
    for _ in range(300):
        buckets.seconds += dice.expovariate(per_second * dice.choice([0.5, 1, 4]))
        count += buckets.take() is None
        assert count <= burst + (buckets.seconds - begun) * per_second + 1e-3


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_sends_too_much_is_told_when_to_come_back(sqlite_url: str) -> None:
    with keyed(sqlite_url, rate_limit_per_second=0.5, rate_limit_burst=3) as server:
        answers = [server.get("ann", "/api/v1/me") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert [one.headers["ratelimit"] for one in answers] == [
            f'"requests";r={left};t={seconds}' for left, seconds in ((2, 2), (1, 4), (0, 6), (0, 6))
        ]
        assert {one.headers["ratelimit-policy"] for one in answers} == {'"requests";q=3;w=6'}
        assert_problem(answers[-1], 429, "rate_limited")
        assert answers[-1].headers["retry-after"] in ("1", "2")
        assert server.get("bob", "/api/v1/me").status_code == 200, "another key has a bucket of its own"
        assert server.get("ann read", "/api/v1/me").status_code == 200, "of the same member too"


def test_whoever_has_no_good_key_is_counted_by_its_address(sqlite_url: str) -> None:
    with keyed(sqlite_url, rate_limit_per_second=0.1, rate_limit_burst=4) as server:
        wrong = server.tokens["ann"][:-64] + "0" * 64
        server.tokens["ann's id"] = wrong
        codes = [
            server.get(who, "/api/v1/me").status_code for who in (None, "unknown", "ann's id", "revoked", "ann's id")
        ]
        assert codes == [401, 401, 401, 401, 429]
        assert server.get("ann", "/api/v1/me").headers["ratelimit"].startswith('"requests";r=3;'), "ann does not pay"


def test_what_is_for_everybody_is_not_counted(sqlite_url: str) -> None:
    with keyed(sqlite_url, rate_limit_per_second=0.1, rate_limit_burst=1) as server:
        for path in ("/livez", "/readyz", "/docs", "/api/v1/openapi.json", "/nowhere"):
            for _ in range(3):
                answer = server.get(None, path)
                assert answer.status_code in (200, 404)
                assert "ratelimit" not in answer.headers


def test_without_a_limit_nothing_is_said_of_one(sqlite_url: str) -> None:
    with keyed(sqlite_url) as server:
        assert not [name for name in server.get("ann", "/api/v1/me").headers if name.startswith("ratelimit")]


def test_a_limit_needs_keys_to_count_by() -> None:
    with pytest.raises(settings.SettingsError, match="set auth = keys"):
        settings.load(flags={"rate_limit_per_second": 1})


def test_taking_a_token_costs_next_to_nothing() -> None:
    limit, scope = RateLimit(per_second=1e6, burst=1000), dict[str, Any]()
    begun = time.process_time()
    for _ in range(1000):
        limit.take(scope, "key 0123456789abcdef")
    assert (time.process_time() - begun) / 1000 < 20e-6
