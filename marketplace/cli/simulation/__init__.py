"""`simulate`: a crowd of clients trades on a real server, is timed, and then checks the books.

`orders` draws what the clients do, `crowd` does it, `journal` remembers what was acknowledged, `measures` how long it
took, and `audit` compares the journal with what the server says afterwards.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from marketplace.cli import terminal
from marketplace.cli.simulation import verdict
from marketplace.cli.temporary import serving, temporary_place

if TYPE_CHECKING:
    from marketplace.cli.simulation.crowd import Crowd

Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Count = Annotated[int, Parameter(validator=Number(gte=1))]


def simulate(
    *,
    url: Annotated[str | None, Parameter(env_var="MARKETPLACE_URL")] = None,
    clients: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 16,
    requests: Annotated[int, Parameter(name=["--requests", "-n"], validator=Number(gte=1))] = 3000,
    users: Count = 50,
    sells: Share = 0.2,
    cancels: Share = 0.1,
    batches: Share = 0.05,
    batch_size: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 20,
    seed: int | None = None,
) -> int:
    """Let many clients trade at once, then print rate, latencies and errors, and audit the books.

    They trade on a market of their own. The audit reads the market back through the API: everything that was
    acknowledged must be there, once, and every hour accounted for. Exit code 1 when it is not so.

    Parameters
    ----------
    url
        A running server. Left out, one is started on a temporary file, and its database is audited too.
    clients
        How many send requests at the same time, each one after the other.
    requests
        How many they send in all.
    users
        Among how many usernames the bids are spread.
    sells
        Share of requests that add supply.
    cancels
        Share of requests that cancel an earlier bid of the same client.
    batches
        Share of requests that hold many orders; what is left are single bids.
    batch_size
        Orders in each of those.
    seed
        The same seed draws the same orders again.
    """
    if sells + cancels + batches > 1:
        raise terminal.Stop(
            "--sells, --cancels and --batches are shares of the whole and add up to 1 at most.", exit_code=2
        )
    from marketplace.cli.simulation.crowd import Crowd
    from marketplace.cli.simulation.orders import Mix

    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    mix = Mix(sells=sells, cancels=cancels, batches=batches, batch_size=batch_size, users=users)
    crowd = Crowd(mix=mix, clients=clients, requests=requests, seed=seed)
    faults = _run(crowd, url) if url else _run_on_own_server(crowd)
    return verdict.conclude(faults)


def _run_on_own_server(crowd: Crowd) -> list[str]:
    with temporary_place() as place:
        with serving(place):
            faults = _run(crowd, place.url)
        return faults + verdict.audit_database(place)


def _run(crowd: Crowd, url: str) -> list[str]:
    """Let the crowd trade and print what it saw. Returns the faults of the books as the API shows them."""
    import asyncio

    from marketplace.cli.connection import connect, errors_as_sentences
    from marketplace.cli.simulation import measures

    with connect(url) as client:
        client.create_market(crowd.market)
    console = terminal.output()
    said = f"{crowd.clients} clients send {crowd.requests} requests to {url}, seed {crowd.seed}."
    console.print(said, soft_wrap=True)
    with errors_as_sentences(url):
        faults = asyncio.run(crowd.trade_and_audit(url, console))
    console.print(measures.show(crowd.measures))
    return faults
