"""Payments over HTTP, among many wallets and between two, against pgbench with the same statements one at a time."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import floor, load, mix, report, stage
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import Stage
from tests.services import postgres

CONNECTIONS = 64
TARGET = 2.0
SCRIPT = Path(__file__).with_name("transfer.sql")

# Wallets with a thousand credits each, as if one command had opened them all.
FILL = (
    """INSERT INTO accounts (account_id, scope, owner, asset, kind, posted_debits, posted_credits, pending_debits,
                             pending_credits, credit_limit, low_balance, last_transfer_id, opened_at)
    SELECT n + 1, 'default', CASE WHEN n > 0 THEN 'w-' || n - 1 ELSE '' END, 'credit',
           CASE WHEN n > 0 THEN 'wallet' ELSE 'external' END, 0, 0, 0, 0, 0, NULL, 0, 0
      FROM generate_series(0::bigint, {wallets}) AS n""",
    """INSERT INTO transfers (transfer_id, scope, kind, debit_account, credit_account, asset, amount, reason, reference,
                              seq, at)
    SELECT n, 'default', 'transfer', 1, n + 1, 'credit', 1000000000, 'filled', '#' || n, 1, 0
      FROM generate_series(1::bigint, {wallets}) AS n""",
    """INSERT INTO events (lane, seq, at, topic, kind, subject, member, data)
    VALUES ('money', 1, 0, 'benchmark', 'filled', '', NULL, '{{}}')""",
    "INSERT INTO commits (lane, last_seq, token, count, at) VALUES ('money', 1, 'filled', 1, 0)",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)


def among_many(place: Stage, *, seconds: float, runs: int) -> Row:
    return _against_pgbench(place, 1_000, seconds=seconds, runs=runs)


def between_two(place: Stage, *, seconds: float, runs: int) -> Row:
    return _against_pgbench(place, 2, seconds=seconds, runs=runs)


def _against_pgbench(place: Stage, wallets: int, *, seconds: float, runs: int) -> Row:
    with place.database() as url, place.database() as floor_url:
        for each in (url, floor_url):
            for statement in FILL:
                postgres.execute(each, statement.format(wallets=wallets))
        # As the product's own sessions have it.
        postgres.execute(floor_url, f"ALTER DATABASE {urlsplit(floor_url).path.lstrip('/')} SET jit = off")
        with place.server(url) as server:
            sides = {
                "lane": functools.partial(
                    mix.over_http,
                    [server],
                    place,
                    connections=CONNECTIONS,
                    prefix=str(wallets),
                    source=load.TRANSFERS,
                ),
                **{
                    f"pgbench, {clients}": functools.partial(
                        _pgbench, place, floor_url, clients=clients, wallets=wallets
                    )
                    for clients in (1, 4, 16)
                },
            }
            results = mix.alternate(sides, seconds=seconds, runs=runs)
        notes = [*report.sides(results, unit="transfer"), *(stage.audit(each) for each in (url, floor_url))]
    rate = {name: load.median(each, lambda run: run.rate) for name, each in results.items()}
    best = max((name for name in results if name != "lane"), key=rate.__getitem__)
    what = f"transfers among {wallets:,} wallets, {CONNECTIONS} connections, against {best} one at a time"
    return report.ratio_row(what, load.ratios(results["lane"], results[best]), TARGET, notes)


def _pgbench(place: Stage, url: str, seconds: float, *, clients: int, wallets: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="pgbench-") as name:
        script = ["-f", str(SCRIPT), "-D", f"wallets={wallets}"]
        run = functools.partial(floor.run_pgbench, place, url, Path(name), script, seconds=seconds, clients=clients)
        return load.metered(run, {"Postgres": [place.postgres_pid]})
