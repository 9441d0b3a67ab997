"""The data dictionary of auctions. Only the lane `money` writes these tables.

Amounts are integers of an asset's smallest unit. Instants (`*_at`, `at`, `deadline`, `valid_till`) are microseconds
since 1970-01-01T00:00:00Z, lengths (`*_micros`) microseconds. Logs, batches, descriptions and deposits are only ever
added to; orders and commitments that are over never change; triggers of the database hold all of that.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from marketplace.auctions.model import BOUNDS, LONGEST_DESCRIPTION, LONGEST_PAYLOAD, MOST_BIDS, MOST_DEPOSITS
from marketplace.database.metadata import metadata

MAX_AMOUNT = 10**15


def _text(name: str, comment: str | None = None, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, primary_key=key, comment=comment)


def _number(name: str, comment: str | None = None, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, primary_key=key, autoincrement=False, comment=comment)


def _amounts(*names: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{name} BETWEEN 1 AND {MAX_AMOUNT}", name=f"{name}_bounded") for name in names]


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


auction_books = sa.Table(
    "auction_books",
    metadata,
    _text("book", "its name", key=True),
    _number("tick_micros", "a batch is formed at most once in each"),
    _number("batch_size", "orders that are announced together, at most"),
    _number("bidding_window_micros", "how long bids are collected before they are looked at"),
    _number("fulfil_micros", "from a commitment to its deadline"),
    _number("grace_micros", "how long after the deadline a deposit is still taken"),
    _number("bond", "held from a solver with each commitment, in micro-credits; null: none", null=True),
    _text("escrow", "ledger: solvers deposit what they deliver; claim: they say that they have"),
    _number("batched_at", "when the last batch was formed; 0: never"),
    _number("opened_at"),
    sa.CheckConstraint("length(book) BETWEEN 1 AND 64", name="book_length"),
    *(sa.CheckConstraint(f"{name} BETWEEN {a} AND {b}", name=f"{name}_bounded") for name, (a, b) in BOUNDS.items()),
    sa.CheckConstraint("escrow IN ('ledger', 'claim')", name="escrow_known"),
    comment="the auction books there are; `default` is there from the start",
    sqlite_with_rowid=False,
)

auction_orders = sa.Table(
    "auction_orders",
    metadata,
    _text("book", key=True),
    _number("order_id", "seq of the command that placed it", key=True),
    _text("owner"),
    _text("output_asset", "what is wanted"),
    _number("output_decimals", "of that asset"),
    _number("limit_output", "the least that a bid may promise; null: anything", null=True),
    _text("input_asset", "what is given for it"),
    _number("input_decimals", "of that asset"),
    _number("input_budget", "the most that is given, held from the owner; null: what the wallet has", null=True),
    _text("state", "pending, open, committed, filled, expired or cancelled"),
    _number("round", "from 1, one more each time that it is reopened"),
    _number("bids", "solvers that have a live bid on it"),
    _number("hold_id", "the hold for the budget; null: there is none", null=True),
    _number("placed_at"),
    _number("added_at", "when it was announced; null: not yet", null=True),
    _number("closes_at", "bids are looked at from then on; null: no window is open", null=True),
    _number("expires_at", "it expires then if no solver is committed; null: never", null=True),
    _number("ended_at", "null: not yet", null=True),
    _text("ranking", "JSON list: valid bids of the round that was selected last, best first; null: none", null=True),
    *_amounts("limit_output", "input_budget"),
    sa.CheckConstraint("length(owner) BETWEEN 1 AND 128", name="owner_length"),
    sa.CheckConstraint(
        "state IN ('pending', 'open', 'committed', 'filled', 'expired', 'cancelled')", name="state_known"
    ),
    sa.CheckConstraint(
        "(state IN ('filled', 'expired', 'cancelled')) = (ended_at IS NOT NULL)", name="ended_at_its_end"
    ),
    sa.CheckConstraint("state NOT IN ('open', 'committed', 'filled') OR added_at IS NOT NULL", name="added_first"),
    sa.CheckConstraint("state <> 'pending' OR added_at IS NULL", name="pending_until_added"),
    sa.CheckConstraint("closes_at IS NULL OR state = 'open'", name="window_of_open_orders"),
    sa.CheckConstraint("(hold_id IS NULL) = (input_budget IS NULL)", name="budget_is_held"),
    sa.CheckConstraint("state <> 'committed' OR ranking IS NOT NULL", name="committed_after_ranking"),
    sa.CheckConstraint("expires_at > placed_at", name="expires_later"),
    sa.CheckConstraint("round >= 1", name="round_positive"),
    sa.CheckConstraint(f"bids BETWEEN 0 AND {MOST_BIDS}", name="bids_bounded"),
    sa.ForeignKeyConstraint(["book"], ["auction_books.book"]),
    # Bids name the order alone.
    sa.Index("auction_orders_by_id", "order_id", unique=True),
    # What solvers ask for who begin.
    sa.Index("auction_orders_open", "book", "order_id", **_where("state = 'open'")),
    sa.Index("auction_orders_pending", "book", "order_id", **_where("state = 'pending'")),
    sa.Index("auction_orders_closing", "book", "closes_at", "order_id", **_where("closes_at IS NOT NULL")),
    sa.Index(
        "auction_orders_expiring",
        "book",
        "expires_at",
        "order_id",
        **_where("state IN ('pending', 'open') AND expires_at IS NOT NULL"),
    ),
    sa.Index("auction_orders_by_owner", "owner", "order_id"),
    comment="what members put out to auction",
    sqlite_with_rowid=False,
)

auction_descriptions = sa.Table(
    "auction_descriptions",
    metadata,
    _text("book", key=True),
    _number("order_id", key=True),
    _text("description"),
    _text("payload", "JSON; null: none", null=True),
    sa.CheckConstraint(f"length(description) BETWEEN 1 AND {LONGEST_DESCRIPTION}", name="description_length"),
    sa.CheckConstraint(f"length(payload) <= {LONGEST_PAYLOAD}", name="payload_length"),
    sa.ForeignKeyConstraint(["book", "order_id"], ["auction_orders.book", "auction_orders.order_id"]),
    comment="what orders say in words; apart, since nothing is decided by it",
)

auction_bids = sa.Table(
    "auction_bids",
    metadata,
    _text("book", key=True),
    _number("order_id", key=True),
    _text("solver", key=True),
    _number("bid_id", "seq of the command that placed it; a newer one takes the row's place"),
    _number("max_input", "the input that it asks for"),
    _text("conversion_rate", "decimal text: output per input, both as whole assets"),
    _number("min_output", "max_input times conversion_rate, rounded down to the unit"),
    _number("valid_till"),
    _text("state", "live; spent: it won and failed, or had expired when its round was looked at"),
    _number("placed_at"),
    *_amounts("max_input", "min_output"),
    sa.CheckConstraint("length(solver) BETWEEN 1 AND 128", name="solver_length"),
    sa.CheckConstraint("length(conversion_rate) BETWEEN 1 AND 31", name="conversion_rate_length"),
    sa.CheckConstraint("valid_till > placed_at", name="valid_later"),
    sa.CheckConstraint("state IN ('live', 'spent')", name="state_known"),
    sa.ForeignKeyConstraint(["book", "order_id"], ["auction_orders.book", "auction_orders.order_id"]),
    sa.Index("auction_bids_by_solver", "solver", "bid_id", unique=True),
    comment="the one bid that a solver has on an order; sealed until its round is selected",
    sqlite_with_rowid=False,
)

auction_commitments = sa.Table(
    "auction_commitments",
    metadata,
    _text("book", key=True),
    _number("commitment_id", "seq of its entry", key=True),
    _number("order_id"),
    _number("bid_id"),
    _text("solver"),
    _number("round", "of the order"),
    _number("rank", "of the bid in that round"),
    _number("input_amount", "what the solver gets"),
    _number("min_output", "what it has to deliver"),
    _text("escrow", "ledger or claim, as the book was set when it began"),
    _number("deadline"),
    _number("ends_at", "deadline and grace: from then on nothing is taken"),
    _number("due_at", "a tick looks at it from then on: ends_at, or when all was delivered"),
    _number("created_at"),
    _number("bond", "micro-credits; null: none", null=True),
    _number("bond_hold_id", "null: none", null=True),
    _number("input_hold_id", "the hold for the input where the order has none; else null", null=True),
    _number("deposited", "sum of the deposits"),
    _number("deposits", "how many"),
    _number("claimed_at", "when the solver said that it delivered; null: it did not", null=True),
    _text("state", "live, filled or failed"),
    _number("slashed", "of the bond, to the owner"),
    _number("ended_at", "null: not yet", null=True),
    *_amounts("input_amount", "min_output", "bond"),
    sa.CheckConstraint("rank >= 1 AND round >= 1", name="rank_positive"),
    sa.CheckConstraint("escrow IN ('ledger', 'claim')", name="escrow_known"),
    sa.CheckConstraint("state IN ('live', 'filled', 'failed')", name="state_known"),
    sa.CheckConstraint("created_at < deadline AND deadline <= ends_at", name="ends_later"),
    sa.CheckConstraint("due_at BETWEEN created_at AND ends_at", name="due_by_its_end"),
    sa.CheckConstraint("(bond IS NULL) = (bond_hold_id IS NULL)", name="bond_is_held"),
    sa.CheckConstraint("(state = 'live') = (ended_at IS NULL)", name="ended_at_its_end"),
    sa.CheckConstraint("claimed_at IS NULL OR (escrow = 'claim' AND claimed_at < ends_at)", name="claimed_in_time"),
    sa.CheckConstraint(
        "state <> 'filled' OR claimed_at IS NOT NULL OR (escrow = 'ledger' AND deposited >= min_output)",
        name="filled_in_full",
    ),
    sa.CheckConstraint("state <> 'failed' OR ended_at >= ends_at", name="failed_after_grace"),
    sa.CheckConstraint(
        "slashed = 0 OR (state = 'failed' AND slashed BETWEEN 1 AND coalesce(bond, 0))", name="slashed_of_the_bond"
    ),
    sa.CheckConstraint(f"deposits BETWEEN 0 AND {MOST_DEPOSITS}", name="deposits_bounded"),
    sa.CheckConstraint("deposited >= 0", name="deposited_not_negative"),
    sa.ForeignKeyConstraint(["book", "order_id"], ["auction_orders.book", "auction_orders.order_id"]),
    # One at a time, whoever writes.
    sa.Index("auction_commitments_one_live", "book", "order_id", unique=True, **_where("state = 'live'")),
    sa.Index("auction_commitments_due", "book", "due_at", "commitment_id", **_where("state = 'live'")),
    sa.Index("auction_commitments_by_order", "book", "order_id", "commitment_id"),
    sa.Index("auction_commitments_by_solver", "solver", "commitment_id"),
    comment="promises of solvers to deliver",
    sqlite_with_rowid=False,
)

auction_deposits = sa.Table(
    "auction_deposits",
    metadata,
    _text("book", key=True),
    _number("commitment_id", key=True),
    _number("hold_id", "on the solver's wallet, for the owner's; its end tells what became of it", key=True),
    _number("amount"),
    _text("reference", "made up by the solver: the same one is carried out once; null: none", null=True),
    _number("at"),
    *_amounts("amount"),
    sa.CheckConstraint("length(reference) BETWEEN 1 AND 255", name="reference_length"),
    sa.ForeignKeyConstraint(
        ["book", "commitment_id"], ["auction_commitments.book", "auction_commitments.commitment_id"]
    ),
    sa.Index(
        "auction_deposits_by_reference",
        "book",
        "commitment_id",
        "reference",
        unique=True,
        **_where("reference IS NOT NULL"),
    ),
    comment="what solvers have delivered into escrow; each is added to its commitment by a trigger",
    sqlite_with_rowid=False,
)

auction_batches = sa.Table(
    "auction_batches",
    metadata,
    _text("book", key=True),
    _text("sequencer", "who formed it", key=True),
    _number("batch_number", "of that sequencer: each is formed once", key=True),
    _number("first_offset", "in the book's log, of its first order; its own entry stands after the last one"),
    _number("orders", "how many"),
    _number("formed_at"),
    sa.CheckConstraint("length(sequencer) BETWEEN 1 AND 128", name="sequencer_length"),
    sa.CheckConstraint("batch_number >= 0 AND first_offset >= 0 AND orders >= 1", name="numbers_not_negative"),
    sa.ForeignKeyConstraint(["book"], ["auction_books.book"]),
    sa.Index("auction_batches_by_offset", "book", "first_offset", unique=True),
    comment="orders that were announced together",
    sqlite_with_rowid=False,
)

auction_log = sa.Table(
    "auction_log",
    metadata,
    _text("book", key=True),
    _number("log_offset", "from 0, without gaps", key=True),
    _number("seq", "of the same entry in the lane's log"),
    _number("at"),
    _number("order_id", "null where it is about several", null=True),
    _text("kind", "as OrderAdded"),
    _text("data", "JSON: enough to replay it"),
    sa.CheckConstraint("log_offset >= 0", name="log_offset_not_negative"),
    sa.CheckConstraint("seq >= 1", name="seq_positive"),
    comment="what happened in a book, in order: solvers follow it, and decisions can be computed again from it",
    sqlite_with_rowid=False,
)

auction_solvers = sa.Table(
    "auction_solvers",
    metadata,
    _text("book", key=True),
    _text("solver", key=True),
    _number("filled", "commitments that it kept"),
    _number("failed", "commitments that it did not keep"),
    _number("window_total", "outcomes that its failure rate is taken of"),
    _number("window_failures", "failures among them"),
    _number("blocks", "in a row, less those that decayed"),
    _number("clean_run", "fills since the last failure or decay"),
    _number("blocked_until", "no bid of it is taken before; 0: never blocked"),
    sa.CheckConstraint("filled >= 0 AND failed >= 0", name="counts_not_negative"),
    sa.CheckConstraint("window_failures BETWEEN 0 AND window_total", name="window_adds_up"),
    sa.CheckConstraint("blocks >= 0 AND clean_run >= 0 AND blocked_until >= 0", name="blocks_not_negative"),
    sa.ForeignKeyConstraint(["book"], ["auction_books.book"]),
    sa.Index("auction_solvers_blocked", "book", "blocked_until", "solver"),
    comment="how solvers have kept their word",
    sqlite_with_rowid=False,
)
