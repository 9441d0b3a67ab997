"""`spot`: pools, their nodes and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from marketplace.cli import quantities, terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect
from marketplace.cli.spot import DEFAULT_POOL, Json, Limit, Pool, moment

if TYPE_CHECKING:
    from marketplace.wire import spot_pools as wire


def pools(*, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List the pools, and how much of each is used."""
    with connect(url, key) as client:
        rows = list(client.spot_pools())
        used = [] if json else [client.spot_utilisation(pool=one.pool) for one in rows]
    if json:
        terminal.print_json(*rows)
        return
    numbers = ("reserve", "nodes", "cpu", "memory", "used", "running", "waiting")
    shown = terminal.table("pool", "unit", "pricing", *numbers, right=numbers)
    for one, use in zip(rows, used, strict=True):
        unit = f"{quantities.written_cpu(one.unit_cpu_millis)} cpu, {quantities.written_memory(one.unit_memory_mib)}"
        room = (quantities.written_cpu(use.cpu_millis), quantities.written_memory(use.memory_mib))
        cells = (one.reserve_price_per_hour, use.nodes, *room, f"{use.used_percent} %", use.running, use.waiting)
        terminal.add_row(shown, one.pool, unit, one.pricing, *cells)
    terminal.output().print(shown)


def nodes(*, pool: Pool = DEFAULT_POOL, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List a pool's nodes, and how much of each is used."""
    with connect(url, key) as client:
        rows = list(client.spot_nodes(pool=pool))
    if json:
        terminal.print_json(*rows)
        return
    numbers = ("cpu", "used cpu", "memory", "used memory", "leases")
    shown = terminal.table("node", "backend", "provider", "state", *numbers, "heartbeat", right=numbers)
    for one in rows:
        cpu = (quantities.written_cpu(one.cpu_millis), quantities.written_cpu(one.used_cpu_millis))
        memory = (quantities.written_memory(one.memory_mib), quantities.written_memory(one.used_memory_mib))
        cells = (one.node, one.backend, one.provider, one.state, *cpu, *memory, one.leases, moment(one.heartbeat_at))
        terminal.add_row(shown, *cells)
    terminal.output().print(shown if rows else "No nodes; add one with `marketplace spot add-node`.")


def add_node(
    node: str,
    *,
    cpu: str = "8",
    memory: str = "16g",
    backend: str = "simulated",
    settings: str = "{}",
    provider: str | None = None,
    pool: Pool = DEFAULT_POOL,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bring a machine into a pool, or change what it offers.

    Parameters
    ----------
    node
        Its name in the pool.
    cpu
        vCPUs that its leases may have together, as 8 or 500m.
    memory
        And memory, as 16g.
    backend
        simulated, docker, kubernetes or an installed one.
    settings
        The backend's settings, a JSON object.
    provider
        Who may cordon and drain it.
    """
    with connect(url, key) as client:
        added = client.add_spot_node(
            node,
            backend=backend,
            cpu_millis=quantities.cpu_millis(cpu),
            memory_mib=quantities.memory_mib(memory),
            settings=_object(settings),
            provider=provider,
            pool=pool,
        )
    _print_node(added, as_json=json)


def cordon(
    node: str, *, pool: Pool = DEFAULT_POOL, json: Json = False, url: Url = DEFAULT_URL, key: Key = None
) -> None:
    """Let nothing new start on a node; what runs there stays."""
    with connect(url, key) as client:
        _print_node(client.cordon_spot_node(node, pool=pool), as_json=json)


def drain(node: str, *, pool: Pool = DEFAULT_POOL, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Tell all leases of a node to go, with their notice."""
    with connect(url, key) as client:
        _print_node(client.drain_spot_node(node, pool=pool), as_json=json)


def uncordon(
    node: str, *, pool: Pool = DEFAULT_POOL, json: Json = False, url: Url = DEFAULT_URL, key: Key = None
) -> None:
    """Let a cordoned or drained node be used again."""
    with connect(url, key) as client:
        _print_node(client.uncordon_spot_node(node, pool=pool), as_json=json)


def remove_node(node: str, *, pool: Pool = DEFAULT_POOL, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Take a node out for good; drain it first."""
    with connect(url, key) as client:
        gone = client.remove_spot_node(node, pool=pool)
    terminal.output().print(f"{gone.node} is out of the pool {gone.pool}.", soft_wrap=True)


def price(*, pool: Pool = DEFAULT_POOL, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Tell what a unit costs now and did lately, and what a few shapes would have to bid to run."""
    with connect(url, key) as client:
        now = client.spot_price(pool=pool)
        lately = None if json else client.spot_percentiles(pool=pool)
    if json or lately is None:
        terminal.print_json(now)
        return
    out = terminal.output()
    out.print(f"A unit costs {now.unit_price_per_hour} an hour, since {moment(now.since)}.", soft_wrap=True)
    out.print(
        f"For 20 % of the last 30 days it was {lately.p20} or less, for 50 % {lately.p50}, for 80 % {lately.p80}.",
        soft_wrap=True,
    )
    shown = terminal.table("cpu", "memory", "price to run now", right=("cpu", "memory", "price to run now"))
    for one in now.indicative:
        cpu, memory = quantities.written_cpu(one.cpu_millis), quantities.written_memory(one.memory_mib)
        terminal.add_row(shown, cpu, memory, one.min_price_per_hour)
    out.print(shown)


def prices(
    *,
    pool: Pool = DEFAULT_POOL,
    candles: Literal["1m", "1h", "1d"] | None = None,
    limit: Limit = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List what a unit cost: each price with its time, newest first; or candles, oldest first.

    Parameters
    ----------
    candles
        Opening, highest, lowest, closing and average price by minute, hour or day.
    """
    if candles:
        _print_candles(candles, pool, limit, as_json=json, url=url, key=key)
        return
    with connect(url, key) as client:
        terminal.print_first(
            limit, lambda size: client.spot_prices(pool=pool, page_size=size), _print_intervals, as_json=json
        )


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _object(text: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise terminal.Stop(f"--settings is no JSON object: {error}.", exit_code=2) from None


def _print_node(node: wire.Node, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(node)
        return
    offers = f"{quantities.written_cpu(node.cpu_millis)} cpu, {quantities.written_memory(node.memory_mib)}"
    terminal.output().print(f"{node.node} in {node.pool} is {node.state}: {offers}.", soft_wrap=True)


def _print_intervals(rows: list[wire.PriceInterval]) -> None:
    shown = terminal.table("from", "to", "price", right=("price",))
    for one in rows:
        terminal.add_row(shown, moment(one.from_at), moment(one.to_at) or "now", one.unit_price_per_hour)
    terminal.output().print(shown)


def _print_candles(interval: wire.Interval, pool: str, limit: int, *, as_json: bool, url: str, key: str | None) -> None:
    with connect(url, key) as client:
        rows = client.spot_candles(interval, pool=pool, limit=limit).items
    if as_json:
        terminal.print_json(*rows)
        return
    numbers = ("open", "high", "low", "close", "average")
    shown = terminal.table("at", *numbers, right=numbers)
    for one in rows:
        terminal.add_row(shown, moment(one.opened_at), one.open, one.high, one.low, one.close, one.average)
    terminal.output().print(shown)
