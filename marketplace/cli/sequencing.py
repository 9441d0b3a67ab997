"""`sequencer`: the clock of the auction books, and the line protocol, in a process of their own."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from marketplace.cli import terminal
from marketplace.cli.flags import AUCTIONS, DatabaseFlags, LaneFlags, ListenFlags, LogFlags, MetricsFlags, load_settings
from marketplace.cli.serving import refusals_as_sentences

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535), group=AUCTIONS)]

SYNTHETIC = 3
"""Orders a tick, in a demonstration."""


def sequencer(
    *,
    tick: Annotated[float | None, Parameter(name=["--tick", "-t"], validator=Number(gt=0), group=AUCTIONS)] = None,
    book: Annotated[str, Parameter(name=["--book", "-b"], group=AUCTIONS)] = "default",
    synthetic: Annotated[int | None, Parameter(validator=Number(gte=0, lte=1000), group=AUCTIONS)] = None,
    no_synthetic: Annotated[bool, Parameter(negative="", group=AUCTIONS)] = False,
    order_port: Port = 8080,
    bid_port: Port = 8081,
    fulfill_port: Port = 8082,
    line_protocol: Annotated[bool, Parameter(group=AUCTIONS)] = True,
    name: Annotated[str | None, Parameter(group=AUCTIONS)] = None,
    seed: Annotated[int | None, Parameter(group=AUCTIONS)] = None,
    listen: ListenFlags | None = None,
    database: DatabaseFlags | None = None,
    lanes: LaneFlags | None = None,
    metrics: MetricsFlags | None = None,
    logs: LogFlags | None = None,
) -> None:
    """Announce orders in batches, select bids and end commitments, each when its time has come.

    Beside `marketplace serve` on Postgres run one of these, or several: more of them do no harm. On a database of its
    own, the embedded default, it is a demonstration, which puts out orders by itself and prints what happens.

    Parameters
    ----------
    tick
        Change the book's tick to so many seconds.
    book
        The book whose lines are spoken and whose entries are printed; it ticks for all.
    synthetic
        Orders to put out each tick (3 on an embedded database, 0 on Postgres).
    no_synthetic
        Put out none.
    order_port
        Where solvers are told of orders, a line each; 0 takes a free one.
    bid_port
        Where they bid.
    fulfill_port
        Where they say that they have delivered.
    line_protocol
        Speak the line protocol.
    name
        What its batches are numbered under (the machine's name and the process).
    seed
        The same seed draws the same orders again.
    """
    settings = load_settings(listen, database, lanes, metrics, logs)
    from marketplace import sequencer as program

    orders = synthetic if synthetic is not None else SYNTHETIC if settings.embedded else 0
    plan = program.Plan(
        book=book,
        name=name,
        tick_seconds=tick,
        ports=(order_port, bid_port, fulfill_port) if line_protocol else None,
        synthetic=0 if no_synthetic else orders,
        seed=seed,
    )
    console = terminal.output()
    with refusals_as_sentences(settings):
        program.run(settings, plan, show=lambda line: console.print(line, soft_wrap=True))
