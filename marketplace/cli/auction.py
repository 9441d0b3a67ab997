"""`auction`: orders put out to solvers, from the keyboard and from scripts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from msgspec import Struct

    from marketplace.wire import auctions

Book = Annotated[str, Parameter(name=["--book", "-b"], help="The book of orders.")]
AnyBook = Annotated[str | None, Parameter(name=["--book", "-b"], help="Only of this book.")]
Username = Annotated[str | None, Parameter(name=["--username", "-u"], help="Whose order; with a key, yours.")]
Solver = Annotated[str | None, Parameter(name=["--solver", "-s"], help="Which solver; with a key, you.")]
Limit = Annotated[int, Parameter(name=["--limit", "-n"], help="How many at most.")]
Json = Annotated[bool, Parameter(negative="", help="A JSON document a line, for other programs.")]

DEFAULT = "default"
CREDIT = "credit"
INSTANTS = ("_at", "deadline", "blocked_until")
"""How the names of instants end in a log."""


def order(
    description: str,
    *,
    budget: str | None = None,
    limit_output: str | None = None,
    input_asset: str = CREDIT,
    output_asset: str = CREDIT,
    payload: str | None = None,
    expires_in: float | None = None,
    username: Username = None,
    book: Book = DEFAULT,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Put an order out to solvers.

    Parameters
    ----------
    description
        What is wanted, in words.
    budget
        The most that a solver may take for it; held from the wallet.
    limit_output
        The least that it has to deliver.
    input_asset
        What the budget is in.
    output_asset
        What is to be delivered.
    payload
        Anything more for solvers: a JSON object.
    expires_in
        After how many seconds it is taken off, if nobody is committed.
    """
    with connect(url, key) as client:
        placed = client.place_order(
            description,
            username=username,
            book=book,
            payload=_object(payload),
            output_asset=output_asset,
            limit_output=limit_output,
            input_asset=input_asset,
            input_budget=budget,
            expires_at=None if expires_in is None else _from_now(expires_in),
        )
    if json:
        terminal.print_json(placed)
    else:
        terminal.output().print(f"Order {placed.order_id} waits for its batch.")


def orders(
    *,
    state: Literal["pending", "open", "committed", "filled", "expired", "cancelled"] | None = None,
    username: Annotated[str | None, Parameter(name=["--username", "-u"], help="Only this member's.")] = None,
    book: AnyBook = None,
    limit: Limit = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List orders, oldest first.

    Parameters
    ----------
    state
        Only those in this state.
    """
    with connect(url, key) as client:
        found = _some(client.orders(book=book, username=username, state=state), limit)
    numbers = ("id", "limit", "budget", "round", "bids")
    columns = ("id", "description", "limit", "of", "budget", "in", "state", "round", "bids")
    _show(found, _order_cells, columns, right=numbers, as_json=json, otherwise="No orders.")


def cancel(order_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Take an order back, as long as no solver is committed.

    Parameters
    ----------
    order_id
        The order.
    """
    with connect(url, key) as client:
        client.cancel_order(order_id)
    terminal.output().print(f"Order {order_id} is cancelled.")


def bid(
    order_id: int,
    max_input: str,
    conversion_rate: str,
    *,
    valid_seconds: float = 60.0,
    solver: Solver = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bid on an order: take at most so much, give that times the rate. It takes the place of your bid before.

    Parameters
    ----------
    order_id
        The order.
    max_input
        What you take.
    conversion_rate
        What you give for each unit of it, as 1.05.
    valid_seconds
        How long the bid counts.
    """
    with connect(url, key) as client:
        placed = client.bid_on_order(
            order_id,
            max_input=max_input,
            conversion_rate=conversion_rate,
            valid_till=_from_now(valid_seconds),
            solver=solver,
        )
    if json:
        terminal.print_json(placed)
    else:
        terminal.output().print(
            f"{placed.solver} bids {placed.min_output} for {placed.max_input} on order {order_id}.", soft_wrap=True
        )


def bids(order_id: int, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List the bids on an order that you may see.

    Parameters
    ----------
    order_id
        The order.
    """
    with connect(url, key) as client:
        found = list(client.order_bids(order_id))
    numbers = ("id", "output", "input", "rate")
    columns = ("id", "solver", "output", "input", "rate", "valid till", "state")
    _show(found, _bid_cells, columns, right=numbers, as_json=json, otherwise="No bids to be seen.")


def commitments(
    *,
    order_id: Annotated[int | None, Parameter(name="--order", help="Only for this order.")] = None,
    solver: Annotated[str | None, Parameter(name=["--solver", "-s"], help="Only of this solver.")] = None,
    state: Literal["live", "filled", "failed"] | None = None,
    book: Book = DEFAULT,
    limit: Limit = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List who has committed to which order, oldest first.

    Parameters
    ----------
    state
        Only those in this state.
    """
    with connect(url, key) as client:
        found = _some(client.commitments(book, order_id=order_id, solver=solver, state=state), limit)
    numbers = ("id", "order", "takes", "owes", "deposited")
    columns = ("id", "order", "solver", "takes", "owes", "deposited", "deadline", "state")
    _show(found, _commitment_cells, columns, right=numbers, as_json=json, otherwise="No commitments.")


def deposit(
    order_id: int,
    amount: str | None = None,
    *,
    reference: Annotated[str | None, Parameter(help="The same one again does nothing.")] = None,
    solver: Solver = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Deliver what you committed to, into escrow.

    Parameters
    ----------
    order_id
        The order.
    amount
        How much; left out, what is missing.
    """
    with connect(url, key) as client:
        done = client.deposit_output(order_id, amount, reference=reference, solver=solver)
    if json:
        terminal.print_json(done)
    else:
        terminal.output().print(
            f"Deposited {done.amount}: {done.commitment.deposited} of {done.commitment.min_output}.", soft_wrap=True
        )


def claim(order_id: int, *, solver: Solver = None, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Say that you have delivered, in a book that takes your word for it.

    Parameters
    ----------
    order_id
        The order.
    """
    with connect(url, key) as client:
        client.claim_delivery(order_id, solver=solver)
    terminal.output().print(f"Noted for order {order_id}.")


def log(
    *,
    book: Book = DEFAULT,
    from_: Annotated[int, Parameter(name="--from", help="The offset to begin with.")] = 0,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    limit: Annotated[int | None, Parameter(name=["--limit", "-n"], help="How many at most.")] = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print a book's log, one line an entry.

    Parameters
    ----------
    follow
        Go on as things happen, until interrupted.
    """
    console = terminal.output()
    with connect(url, key) as client:
        read = client.follow_auction_log if follow else client.auction_log
        for entry in itertools.islice(read(book, from_offset=from_), limit):
            if json:
                terminal.print_json(entry)
            else:
                console.print(line(entry), soft_wrap=True)


def solvers(
    *, book: Book = DEFAULT, limit: Limit = 100, json: Json = False, url: Url = DEFAULT_URL, key: Key = None
) -> None:
    """List how solvers have kept their word."""
    with connect(url, key) as client:
        found = _some(client.solvers(book), limit)
    columns = ("solver", "filled", "failed", "failure rate", "blocked until")
    numbers = ("filled", "failed", "failure rate")
    _show(found, _solver_cells, columns, right=numbers, as_json=json, otherwise="No solver was committed yet.")


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def line(entry: auctions.Entry) -> str:
    """Return an entry of a book's log on one line."""
    told = {"type", "order_id"} | {name for name, value in entry.data.items() if value is None}
    words = "  ".join(f"{name} {_text(name, value)}" for name, value in entry.data.items() if name not in told)
    order_id = "" if entry.order_id is None else f"order {entry.order_id}"
    return f"{entry.offset:>8} {entry.at:%Y-%m-%d %H:%M:%S.%f} {entry.kind:<18} {order_id}  {words}".rstrip()


def _text(name: str, value: object) -> str:
    """Write a value for people: instants as times, the bids of a round by their solvers."""
    import msgspec

    if isinstance(value, int) and name.endswith(INSTANTS):
        return f"{datetime.fromtimestamp(value / 1_000_000, UTC):%H:%M:%S.%f}"
    if name == "bids" and isinstance(value, list):
        return ", ".join(f"{one['rank'] or one['reason']}: {one['solver']} {one['min_output']}" for one in value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _some(rows: Iterator[Any], limit: int) -> list[Any]:
    """Return the first rows; say so where there are more."""
    found = list(itertools.islice(rows, limit + 1))
    if len(found) > limit:
        terminal.output(is_error=True).print("There are more: raise --limit.")
    return found[:limit]


def _show(
    found: Iterable[Struct],
    cells: Any,
    columns: tuple[str, ...],
    *,
    right: tuple[str, ...],
    as_json: bool,
    otherwise: str,
) -> None:
    rows = list(found)
    if as_json:
        terminal.print_json(*rows)
        return
    shown = terminal.table(*columns, right=right)
    for row in rows:
        terminal.add_row(shown, *cells(row))
    terminal.output().print(shown if rows else otherwise)


def _order_cells(one: auctions.Order) -> tuple[terminal.Cell, ...]:
    budget, limit = one.input_budget, one.limit_output
    return (
        *(one.order_id, one.description, limit, one.output_asset, budget, one.input_asset),
        *(one.state, one.round, one.bids),
    )


def _bid_cells(one: auctions.SolverBid) -> tuple[terminal.Cell, ...]:
    valid = f"{one.valid_till:%Y-%m-%d %H:%M:%S}"
    return one.bid_id, one.solver, one.min_output, one.max_input, one.conversion_rate, valid, one.state


def _commitment_cells(one: auctions.Commitment) -> tuple[terminal.Cell, ...]:
    deadline = f"{one.deadline:%Y-%m-%d %H:%M:%S}"
    return (
        *(one.commitment_id, one.order_id, one.solver, one.input_amount, one.min_output, one.deposited),
        *(deadline, one.state),
    )


def _solver_cells(one: auctions.Solver) -> tuple[terminal.Cell, ...]:
    blocked = None if one.blocked_until is None else f"{one.blocked_until:%Y-%m-%d %H:%M:%S}"
    return one.solver, one.filled, one.failed, f"{one.failure_rate:.3f}", blocked


def _object(text: str | None) -> dict[str, Any] | None:
    import msgspec

    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise terminal.Stop(f"--payload is no JSON object: {error}.", exit_code=2) from None


def _from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
