"""The commands in their groups, and what the process returns: 0 done, 1 it did not work, 2 it was asked for wrongly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, Group, Parameter

import marketplace
from marketplace.cli import (
    auction,
    auction_books,
    auction_proof,
    databases,
    demo,
    demo_auction,
    demo_spot,
    ip,
    keys,
    log,
    reports,
    sequencing,
    serving,
    simulation,
    solver,
    spot,
    spot_bills,
    spot_pools,
    terminal,
    trading,
    wallet,
    webhooks,
)
from marketplace.cli.simulation import spot as simulated_spot

HELP_COLUMNS = 120

SERVING = Group.create_ordered("Run a market")
TRADING = Group.create_ordered("Trade")
LOOKING = Group.create_ordered("Look")
TRYING = Group.create_ordered("Try")
OTHER = Group.create_ordered("Other")

_GROUPS: dict[Group, list[Callable[..., object]]] = {
    SERVING: [serving.serve, serving.work, sequencing.sequencer],
    TRADING: [trading.buy, trading.sell],
    LOOKING: [trading.allocation, trading.book, trading.bids, log.log, reports.report],
}


def make_app() -> App:
    app = App(
        name="marketplace",
        help="A self-hosted market for compute: bids meet supply, and what runs gets an address.",
        version=marketplace.__version__,
        version_flags=["--version"],
        default_parameter=Parameter(negative_iterable=()),
        help_format="plaintext",
    )
    for group, commands in _GROUPS.items():
        for command in commands:
            app.command(command, group=group)
    for flag in ("--help", "--version"):
        app[flag].group = OTHER
    database = App(name="db", help="Look after the database: its schema and its books.", group=SERVING)
    for command in (databases.upgrade, databases.check, databases.audit):
        database.command(command)
    app.command(database)
    members = App(name="members", help="Say who may have keys.", group=SERVING)
    members.command(keys.create_member, name="create")
    members.command(keys.list_members, name="list")
    app.command(members)
    of_keys = App(name="keys", help="Create, list and revoke API keys.", group=SERVING)
    for command in (keys.create, keys.revoke, keys.whoami):
        of_keys.command(command)
    of_keys.command(keys.list_, name="list")
    app.command(of_keys)
    pool = App(name="ip", help="Give out addresses, and look who has which.", group=TRADING)
    for command in (ip.allocate, ip.release, ip.show, ip.stats, ip.networks, ip.reconcile):
        pool.command(command)
    pool.command(ip.list_, name="list")
    app.command(pool)
    app.command(_wallets())
    app.command(_spot())
    app.command(_auctions())
    for tried in _tries():
        app.command(tried)
    app.command(solver.solver, group=TRYING)
    hooks = App(name="webhooks", help="Have what happens sent to a URL.", group=LOOKING)
    for hook_command in (
        *(webhooks.add, webhooks.change, webhooks.enable, webhooks.disable, webhooks.remove, webhooks.rotate),
        *(webhooks.log, webhooks.replay),
    ):
        hooks.command(hook_command)
    hooks.command(webhooks.list_, name="list")
    hooks.command(webhooks.try_, name="test")
    app.command(hooks)
    return app


def _wallets() -> App:
    wallets = App(name="wallet", help="Look into wallets, and move money between them.", group=TRADING)
    for command in (wallet.show, wallet.statement, wallet.deposit, wallet.withdraw, wallet.transfer, wallet.assets):
        wallets.command(command)
    wallets.command(wallet.set_, name="set")
    return wallets


def _spot() -> App:
    market = App(name="spot", help="Run containers for as long as nobody pays more.", group=TRADING)
    for command in (spot.bid, spot.preview, spot.show, spot.amend, spot.cancel, spot.leases, spot.logs, spot.evict):
        market.command(command)
    market.command(spot.list_, name="list")
    for pool_command in (
        *(
            spot_bills.bill,
            spot_bills.bills,
            spot_pools.pools,
            spot_pools.price,
            spot_pools.prices,
            spot_pools.nodes,
            spot_pools.add_node,
        ),
        *(spot_pools.cordon, spot_pools.drain, spot_pools.uncordon, spot_pools.remove_node),
    ):
        market.command(pool_command)
    return market


def _auctions() -> App:
    found = App(name="auction", help="Put orders out to solvers, bid on them, deliver; and the books.", group=TRADING)
    for command in (
        *(auction.order, auction.orders, auction.cancel, auction.bid, auction.bids, auction.commitments),
        *(auction.deposit, auction.claim, auction.log, auction.solvers, auction_books.books, auction_proof.verify),
    ):
        found.command(command)
    found.command(auction_books.open_, name="open")
    found.command(auction_books.set_, name="set")
    return found


def _tries() -> tuple[App, App]:
    played = App(name="demo", help="Play a small example against a real server of its own.", group=TRYING)
    played.default(demo.demo)
    played.command(demo_spot.demo_spot, name="spot")
    played.command(demo_auction.auction)
    simulated = App(name="simulate", help="Let a crowd trade on a real server, and audit the books.", group=TRYING)
    simulated.default(simulation.simulate)
    simulated.command(simulated_spot.simulate_spot, name="spot")
    return played, simulated


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return the exit code."""
    out = terminal.output(pipe_columns=HELP_COLUMNS)
    err = terminal.output(is_error=True, pipe_columns=HELP_COLUMNS)
    try:
        code = make_app()(arguments, console=out, error_console=err, exit_on_error=False, result_action="return_value")
    except CycloptsError:  # it is printed already
        return 2
    except terminal.Stop as stop:
        err.print(stop.sentence, soft_wrap=True)
        return stop.exit_code
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process and end it."""
    sys.exit(run(sys.argv[1:]))
