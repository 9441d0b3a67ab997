"""The Python SDK: every endpoint of the service as a typed method, sync and async.

    from marketplace.client import Client

    with Client("http://127.0.0.1:8080") as market:
        market.buy("u1", volume=100, price=3)
        market.sell(250)
        print(market.allocation("u1"))

`AsyncClient` has the same methods, to be awaited; what iterates over pages is an iterator in one and an async iterator
in the other. Answers are the structs of `marketplace.wire`. Errors are `MarketplaceError` and its kinds.

`Solver` follows order auctions, bids by a strategy of yours and delivers.

How it is built: `calls` and the files named `…_calls` describe each request as a value (`requests`), `exchange`
decides what to try again and when without doing any I/O, and `clients` carries the two out. It loads neither a database
nor a web framework.
"""

from marketplace.client.clients import AsyncClient, Client
from marketplace.client.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    MarketplaceError,
    Mismatch,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    Unaffordable,
    Unauthenticated,
    Unavailable,
    Unintelligible,
    Unreachable,
)
from marketplace.client.exchange import NEVER_AGAIN, Retry
from marketplace.client.solving import Announced, Offer, Result, Solver

__all__ = [
    "NEVER_AGAIN",
    "Announced",
    "AsyncClient",
    "Client",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "MarketplaceError",
    "Mismatch",
    "NotFound",
    "Offer",
    "OutcomeUnknown",
    "RateLimited",
    "Result",
    "Retry",
    "ServerError",
    "Solver",
    "Unaffordable",
    "Unauthenticated",
    "Unavailable",
    "Unintelligible",
    "Unreachable",
]
