"""How many requests a key may send: a token bucket each, in every process for itself.

A bucket holds `burst` tokens and gets `per_second` of them back; a request takes one, or is refused (429) and told when
to come back. It is kept as one number, the second at which it is full again: a bucket that is full is the same as one
that was never used, so that the ones unused for longest can be forgotten.

    per_second 10, burst 20: 20 requests at once, then one each 0.1 s; 20 at once again after 2 s of rest

What a caller has left is in every answer, as draft-ietf-httpapi-ratelimit-headers writes it. Requests without a good
key are counted by the address that they come from. Whatever anybody may ask without a key (health, documentation) is
not counted.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

from marketplace.http import problems
from marketplace.http.asgi import App, Message, Receive, Scope, Send

MAX_BUCKETS = 100_000
LEFT = "marketplace.left"
"""Where a connection's scope has what its caller has left."""


class Left(NamedTuple):
    """How many requests may be sent at once now, and after how many seconds of rest the whole burst may."""

    requests: int
    full_after_seconds: int


class RateLimit:
    """The buckets of one process."""

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second
        self._burst_seconds = burst * self._interval
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self.policy = f'"requests";q={burst};w={math.ceil(self._burst_seconds)}'

    def take(self, scope: MutableMapping[str, Any], name: str) -> None:
        """Take a token from a bucket, and note in the connection's scope what is left. Raises RateLimited."""
        now = self._clock()
        missing_seconds = max(self._full_at.get(name, now) - now, 0.0)
        wait_seconds = missing_seconds + self._interval - self._burst_seconds
        # A clock's float is never quite on the spot: a millionth of a token is no reason to refuse one.
        if wait_seconds > self._interval * 1e-6:
            scope[LEFT] = Left(0, math.ceil(missing_seconds))
            raise problems.RateLimited(retry_after_seconds=math.ceil(wait_seconds))
        missing_seconds += self._interval
        self._full_at[name] = now + missing_seconds
        self._full_at.move_to_end(name)
        if len(self._full_at) > MAX_BUCKETS:
            self._full_at.popitem(last=False)
        left = int((self._burst_seconds - missing_seconds) / self._interval + 1e-6)
        scope[LEFT] = Left(left, math.ceil(missing_seconds))


class RateLimitHeaders:
    """Around the router: tells every counted caller what is left."""

    def __init__(self, app: App, policy: str) -> None:
        self._app = app
        self._policy = (b"ratelimit-policy", policy.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            left: Left | None = scope.get(LEFT)
            if message["type"] == "http.response.start" and left is not None:
                limit = f'"requests";r={left.requests};t={left.full_after_seconds}'
                message["headers"] = [*message["headers"], self._policy, (b"ratelimit", limit.encode())]
            await send(message)

        await self._app(scope, receive, send_with_headers)
