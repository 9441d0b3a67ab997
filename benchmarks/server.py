"""`marketplace serve` with handlers more, which take the same bodies and do nothing: `python -m benchmarks.server`.

They stand in the same application, behind the same gate, and are logged and counted as every other request is: what
they answer a second is what this web stack can do at all, and what a durable order is compared with. With
BENCHMARK_PROFILE=FILE the process writes where its time went into that file when it ends.
"""

from __future__ import annotations

import cProfile
import functools
import itertools
import os
from unittest import mock

from litestar import post
from litestar.params import JSONBody

from marketplace import app, cli
from marketplace.http import params
from marketplace.wire import addresses as addresses_wire
from marketplace.wire import auctions as auctions_wire
from marketplace.wire import hours as wire

PROFILE = "BENCHMARK_PROFILE"

# As long as ids are in a market that has been running for a while.
_ids = itertools.count(100_000)


@post("/noop/buy", status_code=200)
async def noop_buy(data: JSONBody[wire.Buy]) -> wire.Bought:
    return wire.Bought(next(_ids), 0, data.volume)


@post("/noop/sell", status_code=200)
async def noop_sell(data: JSONBody[wire.Sell]) -> wire.Sold:
    return wire.Sold(next(_ids), data.volume, 0)


@post("/noop/api/v1/ip/allocate")
async def noop_allocate(data: JSONBody[addresses_wire.Allocate]) -> addresses_wire.Assignment:
    return addresses_wire.Assignment("10.0.0.2", data.vm_id, "10.0.0.1", "10.0.0.0/8", data.hostname)


@post("/noop/api/v1/auctions/orders/{order_id:int}/bids")
async def noop_bid(order_id: params.Id, data: JSONBody[auctions_wire.NewSolverBid]) -> auctions_wire.SolverBid:
    return auctions_wire.SolverBid(
        next(_ids),
        order_id,
        "default",
        data.solver or "",
        data.max_input,
        data.conversion_rate,
        "12",
        data.valid_till,
        "live",
        data.valid_till,
    )


def main() -> None:
    """Run the command line as it is, with the application that it makes extended."""
    extended = functools.partial(app.create_app, extra_handlers=(noop_buy, noop_sell, noop_allocate, noop_bid))
    with mock.patch.object(app, "create_app", extended):
        file = os.environ.pop(PROFILE, None)
        if file is None:
            cli.main()
            return
        profile = cProfile.Profile()
        try:
            profile.runcall(cli.main)
        finally:
            profile.dump_stats(file)


if __name__ == "__main__":
    main()
