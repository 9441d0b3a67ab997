"""`spot`: bids for containers, and what becomes of them, from the keyboard and from scripts."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from marketplace.cli import quantities, terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.client import Client
    from marketplace.wire import spot

Cpu = Annotated[str, Parameter(help="vCPUs, as 2, 0.5 or 500m.")]
Memory = Annotated[str, Parameter(help="As 512m or 4g.")]
PerHour = Annotated[str | None, Parameter(help="The most that the container may cost an hour, in credits.")]
PerMinute = Annotated[str | None, Parameter(help="The same by the minute.")]
Username = Annotated[str | None, Parameter(name=["--username", "-u"], help="Whose; with a key, the key's member.")]
Pool = Annotated[str, Parameter(help="The pool of nodes.")]
Limit = Annotated[int, Parameter(name=["--limit", "-n"], help="How many rows at most.")]
Json = Annotated[bool, Parameter(negative="", help="A JSON document a line, for other programs.")]

DEFAULT_POOL = "default"


def bid(
    image: str,
    /,
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    cpu: Cpu = "1",
    memory: Memory = "2g",
    per_hour: PerHour = None,
    per_minute: PerMinute = None,
    username: Username = None,
    pool: Pool = DEFAULT_POOL,
    env: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    ttl: str | None = None,
    expires_in: str | None = None,
    on_eviction: Literal["terminate", "requeue"] = "terminate",
    max_preemptions: int | None = None,
    budget: str | None = None,
    notice: str | None = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bid for a container; it runs until it ends, you stop it, or somebody pays more.

    Parameters
    ----------
    image
        As registry/path:tag.
    command
        What to run instead of the image's own command, after `--`; no shell reads it.
    env
        A variable as NAME=value; may be repeated.
    ttl
        How long it may run, as 90s, 10m, 2h or 1d.
    expires_in
        How long the bid may wait for a place.
    on_eviction
        Whether it is queued again when it was displaced.
    max_preemptions
        Evicted more often than this it is not queued again.
    budget
        What all its runs together may cost, in credits.
    notice
        How long it wants between being told to go and being killed.
    """
    terms = _terms(ttl, expires_in, notice)
    with connect(url, key) as client:
        placed = client.place_spot_bid(
            image,
            cpu_millis=quantities.cpu_millis(cpu),
            memory_mib=quantities.memory_mib(memory),
            per_hour=per_hour,
            per_minute=per_minute,
            command=command,
            environment=_variables(env),
            pool=pool,
            username=username,
            on_eviction=on_eviction,
            max_preemptions=max_preemptions,
            budget=budget,
            **terms,
        )
    _print_placed(placed, as_json=json)


def preview(
    image: str | None = None,
    /,
    *,
    cpu: Cpu = "1",
    memory: Memory = "2g",
    per_hour: PerHour = None,
    per_minute: PerMinute = None,
    pool: Pool = DEFAULT_POOL,
    username: Username = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Tell what a bid would get right now, or without a price what it would have to pay; nothing is placed.

    Parameters
    ----------
    image
        With it the answer has a request that is ready to be sent.
    """
    with connect(url, key) as client:
        found = client.preview_spot_bid(
            image,
            cpu_millis=quantities.cpu_millis(cpu),
            memory_mib=quantities.memory_mib(memory),
            per_hour=per_hour,
            per_minute=per_minute,
            pool=pool,
            username=username,
        )
    if json:
        terminal.print_json(found)
        return
    out = terminal.output()
    least = found.min_price_to_run_per_hour
    if per_hour or per_minute:
        verdict = "It would run now." if found.runs_now else f"It would wait: {found.waits_because}"
        out.print(verdict, soft_wrap=True)
    out.print(
        f"A unit costs {found.unit_price_per_hour} an hour; this container {found.cost_per_hour}.", soft_wrap=True
    )
    out.print(f"To run now it has to bid {least} an hour." if least else "No price would make it run now.")
    if found.would_evict:
        out.print(f"It would evict {', '.join(f'bid {one}' for one in found.would_evict)}.", soft_wrap=True)


def list_(
    *,
    username: Username = None,
    pool: str | None = None,
    state: str | None = None,
    limit: Limit = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List bids, oldest first.

    Parameters
    ----------
    state
        submitted, matched, starting, running, evicting, evicted, completed, cancelled or failed.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit,
            lambda size: client.spot_bids(username=username, pool=pool, state=state, page_size=size),  # type: ignore[arg-type]
            _print_bids,
            as_json=json,
        )


def show(bid_id: int, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show a bid: its state and why, its rank, what it would have to pay to run, and its leases."""
    with connect(url, key) as client:
        found = client.spot_bid(bid_id)
        leases = [] if json else list(client.spot_leases(bid_id=bid_id))
    if json:
        terminal.print_json(found)
        return
    out = terminal.output()
    out.print(f"Bid {found.bid_id} of {found.username}: {found.image}, {_shape(found)}, {_terms_of(found)}.")
    out.print(f"{found.state}{': ' if found.reason else ''}{found.reason or ''}", soft_wrap=True)
    if found.rank is not None:
        least = found.min_price_to_run_per_hour
        out.print(f"It is number {found.rank} in the queue. {found.waits_because or ''}".rstrip(), soft_wrap=True)
        out.print(f"To run now it has to bid {least} an hour." if least else "No price would make it run now.")
    if leases:
        _print_leases(leases)


def amend(
    bid_id: int,
    *,
    per_hour: PerHour = None,
    per_minute: PerMinute = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Change the price of a bid that waits or runs."""
    with connect(url, key) as client:
        _print_placed(client.amend_spot_bid(bid_id, per_hour=per_hour, per_minute=per_minute), as_json=json)


def cancel(bid_id: int, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """End a bid, and stop its container where that runs."""
    with connect(url, key) as client:
        _print_placed(client.cancel_spot_bid(bid_id), as_json=json)


def leases(
    *,
    username: Username = None,
    bid: int | None = None,
    limit: Limit = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List leases, oldest first: what ran where, since when, and what it has cost.

    Parameters
    ----------
    bid
        Of this bid only.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit,
            lambda size: client.spot_leases(username=username, bid_id=bid, page_size=size),
            _print_leases,
            as_json=json,
        )


def logs(
    number: int,
    *,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 100,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print the end of what a container wrote.

    Parameters
    ----------
    number
        A lease, or a bid: then its newest lease.
    lines
        How many lines at most.
    """
    with connect(url, key) as client:
        text = client.spot_log(lease_of(client, number), lines=lines).text
    terminal.output().out(text, end="", highlight=False)


def evict(lease_id: int, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Drill: give a lease notice as if somebody paid more for its place."""
    with connect(url, key) as client:
        _print_placed(client.evict_spot_lease(lease_id), as_json=json)


# ── parts that the other spot commands use ───────────────────────────────────────────────────────────────────────────


def lease_of(client: Client, number: int) -> int:
    """Return a lease: the one of this id, else the newest one of the bid of this id."""
    from marketplace.client import NotFound

    with contextlib.suppress(NotFound):
        return client.spot_lease(number).lease_id
    found = list(client.spot_leases(bid_id=number))
    if not found:
        raise terminal.Stop(f"There is no lease {number}, and no bid {number} that ever had one.")
    return found[-1].lease_id


def moment(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def _terms(ttl: str | None, expires_in: str | None, notice: str | None) -> Any:
    wait = None if expires_in is None else timedelta(seconds=quantities.seconds(expires_in))
    return {
        "ttl_seconds": None if ttl is None else quantities.seconds(ttl),
        "expires_at": None if wait is None else datetime.now(UTC) + wait,
        "notice_seconds": None if notice is None else quantities.seconds(notice),
    }


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    wrong = [one for one in given if "=" not in one]
    if wrong:
        raise terminal.Stop(f"{wrong[0]} is no variable: write NAME=value.", exit_code=2)
    return {name: value for name, _, value in (one.partition("=") for one in given)}


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_placed(placed: spot.PlacedBid, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(placed)
        return
    because = f": {placed.reason}" if placed.reason else ""
    held = f", {placed.held} held" if placed.held else ""
    terminal.output().print(
        f"bid {placed.bid_id} of {placed.username} at {placed.max_price_per_hour} an hour{held}: "
        f"{placed.state}{because}",
        soft_wrap=True,
    )


def _shape(found: spot.SpotBid) -> str:
    return f"{quantities.written_cpu(found.cpu_millis)} cpu, {quantities.written_memory(found.memory_mib)}"


def _terms_of(found: spot.SpotBid) -> str:
    return f"at most {found.max_price_per_hour} an hour"


def _print_bids(rows: list[spot.SpotBid]) -> None:
    numbers = ("bid", "cpu", "memory", "max price", "charged", "lease")
    shown = terminal.table(
        "bid", "user", "image", "cpu", "memory", "max price", "state", "charged", "lease", "reason", right=numbers
    )
    for one in rows:
        cpu, memory = quantities.written_cpu(one.cpu_millis), quantities.written_memory(one.memory_mib)
        cells = (one.bid_id, one.username, one.image, cpu, memory, one.max_price_per_hour)
        terminal.add_row(shown, *cells, one.state, one.charged, one.lease_id, one.reason)
    terminal.output().print(shown if rows else "No bids.")


def _print_leases(rows: list[spot.Lease]) -> None:
    numbers = ("lease", "bid", "exit", "charged")
    shown = terminal.table(
        "lease", "bid", "node", "state", "address", "started", "ended", "exit", "charged", "reason", right=numbers
    )
    for one in rows:
        when = (moment(one.started_at), moment(one.ended_at))
        terminal.add_row(
            shown, one.lease_id, one.bid_id, one.node, one.state, one.address, *when, one.exit_code, one.charged,
            one.reason,
        )  # fmt: skip
    terminal.output().print(shown if rows else "No leases.")
