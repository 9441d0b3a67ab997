"""`solver`: a demonstration of one, over HTTP or over the line protocol."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, KEY_VARIABLE, Key, Url, errors_as_sentences
from marketplace.cli.habits import Habits, print_line

Port = Annotated[int | None, Parameter(validator=Number(gte=1, lte=65_535))]

ORDER_PORT, BID_PORT, FULFILL_PORT = 8080, 8081, 8082


def solver(
    *,
    id: Annotated[str | None, Parameter(name=["--id", "-i"])] = None,  # noqa: A002 (the flag is --id)
    book: Annotated[str, Parameter(name=["--book", "-b"])] = "default",
    position: Path | None = None,
    chance: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.7,
    work_seconds: Annotated[float, Parameter(validator=Number(gte=0))] = 2.0,
    seed: int | None = None,
    sequencer_host: str | None = None,
    order_port: Port = None,
    bid_port: Port = None,
    fulfill_port: Port = None,
    tls: Annotated[bool, Parameter(negative="")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bid at random, work for a while, deliver: a demonstration of a solver, of which several can run.

    It speaks HTTP to --url; with --sequencer-host or one of the ports, the line protocol to those.

    Parameters
    ----------
    id
        Who it is; over HTTP with a key, its member.
    book
        The book that it solves for.
    position
        A file where it keeps how far it has read, to go on from there when it is started again.
    chance
        How likely it bids on an order.
    work_seconds
        How long it works at most before it delivers.
    seed
        The same seed draws the same bids again.
    sequencer_host
        The machine of the sequencer that speaks lines (127.0.0.1).
    order_port
        Where that tells of orders (8080).
    bid_port
        Where it takes bids (8081).
    fulfill_port
        Where it hears what is delivered (8082).
    tls
        The sequencer's lines go over TLS.
    """
    draw = random.Random(seed)  # noqa: S311 (a demonstration)
    habits = Habits(draw, chance, work_seconds)
    key = key or os.environ.get(KEY_VARIABLE)
    with contextlib.suppress(KeyboardInterrupt):
        if sequencer_host or order_port or bid_port or fulfill_port:
            from marketplace.cli.line_solver import LineSolver

            if id is None:
                raise terminal.Stop("Say who it is: --id s1.", exit_code=2)
            ports = (order_port or ORDER_PORT, bid_port or BID_PORT, fulfill_port or FULFILL_PORT)
            asyncio.run(LineSolver(id, sequencer_host or "127.0.0.1", ports, key, habits, tls=tls).run())
        elif id is None and key is None:
            raise terminal.Stop("Say who it is: --id s1, or give a key.", exit_code=2)
        else:
            with errors_as_sentences(url):
                asyncio.run(_solve(id, url, key, book, position, habits))


async def _solve(name: str | None, url: str, key: str | None, book: str, position: Path | None, habits: Habits) -> None:
    from marketplace.client import AsyncClient, Solver

    async with AsyncClient(url, key=key) as market:
        print_line(f"solving on {url}")
        await Solver(
            market, habits.bid, solver=name, book=book, work=habits.work, learn=habits.learn, position=position
        ).run()
