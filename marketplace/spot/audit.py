"""Proves the books of the spot market: by what has to agree in them, and by replaying the log from its first entry.

A bid and its open lease name each other, and say the same of where they are. What is held in the ledger for the market
is what its open bids say, hold by hold; what was charged is what the bills say, line by line. A node's leases fit,
together with what is reserved. Prices are without gaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import log, money, proofs
from marketplace.database.proofs import SHOWN, Unlawful
from marketplace.spot import happenings
from marketplace.spot.bill_audit import check_bills
from marketplace.spot.replay import Bid, Lease, Node, Replay, decode
from marketplace.spot.tables import leases, nodes, pools, spot_bids, spot_prices

REVENUE = ledger.revenue("spot")
_OVER = ("evicted", "completed", "cancelled", "failed")


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance.

    A log that was cut cannot be replayed: then the tables have to agree with themselves.
    """
    faults = [
        *_check_pairs(tx),
        *_check_stamps(tx),
        *_check_nodes(tx),
        *_check_prices(tx),
        *_check_holds(tx),
        *check_bills(tx),
    ]
    return [*faults, *_check_replay(tx)] if proofs.is_whole(tx, money.LANE) else faults


# ── what has to agree ────────────────────────────────────────────────────────────────────────────────────────────────


def _check_pairs(tx: sa.Connection) -> Iterator[str]:
    """A bid and its open lease: they name each other, and the lease is where the bid is, or stopping."""
    is_pair = sa.and_(
        leases.c.pool == spot_bids.c.pool, leases.c.bid_id == spot_bids.c.bid_id, leases.c.state != "ended"
    )
    says_the_same = sa.or_(
        leases.c.state == spot_bids.c.state,
        sa.and_(leases.c.state == "stopping", spot_bids.c.state == "running"),
    )
    agree = sa.and_(leases.c.lease_id == spot_bids.c.lease_id, says_the_same, leases.c.username == spot_bids.c.username)
    query = (
        sa.select(spot_bids.c.bid_id, spot_bids.c.state, leases.c.lease_id, leases.c.state.label("lease_state"))
        .outerjoin(leases, is_pair)
        .where(sa.func.coalesce(spot_bids.c.lease_id, leases.c.lease_id).is_not(None))
        .where(sa.or_(leases.c.lease_id.is_(None), sa.not_(sa.func.coalesce(agree, sa.false()))))
        .order_by(spot_bids.c.bid_id)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        yield f"leases: the bid {row.bid_id} is {row.state}, and its open lease {row.lease_id} is {row.lease_state}"


def _check_stamps(tx: sa.Connection) -> Iterator[str]:
    """No row was changed by an entry that is not there."""
    last_seq = log.read_head(tx, money.LANE).last_seq
    for table in (pools, nodes, spot_bids, leases):
        if (stamp := tx.scalar(sa.select(sa.func.max(table.c.changed_seq))) or 0) > last_seq:
            yield f"{table.name}: one says that entry {stamp} of the log changed it, which ends at {last_seq}"


def _check_nodes(tx: sa.Connection) -> Iterator[str]:
    """What runs on a node fits, and so does what is to run there once all have gone that were told to.

    Whoever came after the node's last change, which may have made it smaller, only came because it fits.
    """
    room = (nodes.c.cpu_millis, nodes.c.memory_mib)

    def exceed(*states: str) -> sa.ColumnElement[bool]:
        is_there = leases.c.state.in_(states)
        last = sa.func.max(sa.case((is_there, leases.c.lease_id), else_=0))
        sizes = (spot_bids.c.cpu_millis, spot_bids.c.memory_mib)
        sums = (sa.func.sum(sa.case((is_there, size), else_=0)) for size in sizes)
        is_more = (total > most for total, most in zip(sums, room, strict=True))
        return sa.and_(last > nodes.c.changed_seq, sa.or_(*is_more))

    now, later = ("starting", "running", "evicting", "stopping"), ("matched", "starting", "running")
    query = (
        sa.select(nodes.c.pool, nodes.c.node)
        .join(leases, sa.and_(leases.c.pool == nodes.c.pool, leases.c.node == nodes.c.node))
        .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
        .where(leases.c.is_clean == sa.literal_column("0"), leases.c.state != "ended")
        .group_by(nodes.c.pool, nodes.c.node, *room, nodes.c.changed_seq)
        .having(sa.or_(exceed(*now), exceed(*later)))
        .order_by(nodes.c.pool, nodes.c.node)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        yield f"nodes: the leases on {row.node} of {row.pool} exceed it"


def _check_prices(tx: sa.Connection) -> Iterator[str]:
    """A pool's prices begin with it, follow each other without a gap, and the last one goes on."""
    opened = {row.pool: row.opened_at for row in tx.execute(sa.select(pools.c.pool, pools.c.opened_at))}
    rows = proofs.pages(tx, spot_prices, [spot_prices.c.pool, spot_prices.c.from_at])
    for pool, of_pool in itertools.groupby(rows, key=lambda row: row.pool):
        expected: int | None = opened.pop(pool)
        for row in of_pool:
            if row.from_at != expected:
                yield f"spot_prices: a price of {pool} begins at {row.from_at}, and the one before ends at {expected}"
            expected = row.to_at
        if expected is not None:
            yield f"spot_prices: the last price of {pool} ends"
    yield from (f"spot_prices: {pool} has none" for pool in opened)


# ── what is held ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_holds(tx: sa.Connection) -> Iterator[str]:
    """Each open bid has a hold of its own that is open, of its member's wallet; and nothing else is held for us."""
    total = shown = 0
    rows = proofs.pages(tx, spot_bids, [spot_bids.c.pool, spot_bids.c.bid_id], spot_bids.c.ended_at.is_(None))
    while page := list(itertools.islice(rows, proofs.PAGE)):
        total += sum(row.held_micros for row in page)
        for fault in _check_holds_of(tx, page):
            if (shown := shown + 1) <= SHOWN:
                yield fault
    account = ledger.balance(tx, REVENUE)
    if (pending := account.pending_credits if account else 0) != total:
        yield f"accounts: {pending} are held for the spot market, and its open bids say {total}"


def _check_holds_of(tx: sa.Connection, page: Iterable[Any]) -> Iterator[str]:
    bids = list(page)
    # Ended in memory alone: nothing is settled, so nothing is written.
    books = ledger.open_books(tx, holds=[row.hold_id for row in bids], now=0)
    for row in bids:
        hold = books.hold_of(row.hold_id)
        owner = books.account_of(hold.debit_account).key if hold else None
        what = (owner, hold.amount) if hold else None
        if what != (ledger.wallet(row.username), row.held_micros):
            yield f"spot_bids: the hold of {row.bid_id} is {what}, not {row.held_micros} of {row.username!r}"
        elif not isinstance(books.release(row.hold_id, seq=0, reason="audit"), ledger.Posted):
            yield f"spot_bids: the hold of {row.bid_id} has ended, or is another bid's too"


# ── the replay ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_replay(tx: sa.Connection) -> Iterator[str]:
    replay = Replay()
    for row in proofs.read_log(tx, money.LANE):
        if row.topic != happenings.TOPIC:
            continue
        try:
            said = decode(row.data)
            proofs.require((row.subject, row.member) == happenings.about(said), "it is about something else")
            replay.run(row.seq, row.at, said)
        except (Unlawful, KeyError, ValueError, msgspec.MsgspecError) as fault:
            yield f"events: the replay stops at seq {row.seq} ({row.kind}): {fault}"
            return
    yield from proofs.differences("spot_bids", dict(replay.bids), _bids(tx))
    yield from proofs.differences("leases", dict(replay.leases), _leases(tx))
    yield from proofs.differences("nodes", dict(replay.nodes), _nodes(tx))
    intervals = {
        (pool, one.from_at): (one.to_at, one.unit_price_micros) for pool in replay.prices for one in replay.prices[pool]
    }
    found = proofs.pages(tx, spot_prices, [spot_prices.c.pool, spot_prices.c.from_at])
    prices = (((row.pool, row.from_at), (row.to_at, row.unit_price_micros_per_hour)) for row in found)
    yield from proofs.differences("spot_prices", intervals, prices)


def _bids(tx: sa.Connection) -> Iterator[tuple[int, Bid]]:
    for row in proofs.pages(tx, spot_bids, [spot_bids.c.pool, spot_bids.c.bid_id]):
        charged = row.charged_micros if row.state in _OVER else None
        size = (row.cpu_millis, row.memory_mib, row.max_price_micros_per_hour)
        yield row.bid_id, Bid(row.pool, row.username, *size, row.state, row.lease_id, charged)


def _leases(tx: sa.Connection) -> Iterator[tuple[int, Lease]]:
    for row in proofs.pages(tx, leases, [leases.c.pool, leases.c.lease_id]):
        what = (row.pool, row.bid_id, row.username, row.node, row.started_at)
        yield row.lease_id, Lease(*what, is_open=row.state != "ended")


def _nodes(tx: sa.Connection) -> Iterator[tuple[tuple[str, str], Node]]:
    for row in proofs.pages(tx, nodes, [nodes.c.pool, nodes.c.node]):
        yield (row.pool, row.node), Node(row.state, row.cpu_millis, row.memory_mib)
