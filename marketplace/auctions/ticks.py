"""What the lane runs when a sequencer ticks: everything that has become due in a book, in one transaction a chunk.

    1. commitments that are kept fill their orders; those whose time is over are slashed and handed on
    2. orders whose time is over expire
    3. orders that wait are announced, a batch at most in each tick of the clock
    4. orders whose bidding window is over get their best bid committed

It is judged by the lane's instant and by what the tables say, and by nothing that the sequencer brings along: any
number of them may tick, late, twice, or at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from marketplace.auctions import choosing, endings, errors, sql
from marketplace.auctions.book import known_books
from marketplace.auctions.model import Tick, Ticked
from marketplace.auctions.turn import Due, Turn, read_due
from marketplace.database import Log
from marketplace.foundation.clock import Instant


def apply_ticks(
    tx: sa.Connection, log: Log, commands: Sequence[Tick], /, *, now: Instant, starting_credits: int
) -> list[Ticked | errors.UnknownBook]:
    """Run ticks one after the other, each on what the one before has left."""
    outcomes = []
    for command in commands:
        log.flush(tx)
        outcomes.append(_tick(tx, log, command, now=now, starting_credits=starting_credits))
    return outcomes


def _tick(
    tx: sa.Connection, log: Log, command: Tick, *, now: Instant, starting_credits: int
) -> Ticked | errors.UnknownBook:
    book = known_books(tx, log, [command.book]).get(command.book)
    if book is None:
        return errors.UnknownBook(command.book)
    number = command.batch_number
    batch = None if number is None else sql.read_batch(tx, book.book, command.sequencer, number)
    limit = max(min(command.limit, book.most_at_once), 1)
    due = read_due(tx, book, limit=limit, now=now, is_batch_new=batch is None)
    if due.is_nothing:
        return Ticked(more=False, batch=batch)
    turn = Turn(tx, log, book, due, now=now, starting_credits=starting_credits)
    done = _run(turn, due, command)
    turn.write()
    return done if batch is None else msgspec.structs.replace(done, batch=batch)


def _run(turn: Turn, due: Due, command: Tick) -> Ticked:
    thens = [endings.end_commitment(turn, commitment) for commitment in due.commitments]
    for order in due.expiring:
        endings.expire_order(turn, order)
    if due.announcing:
        choosing.form_batch(turn, due.announcing, sequencer=command.sequencer, batch_number=command.batch_number)
    selected = sum(choosing.select_winner(turn, order) for order in due.closing)
    return Ticked(
        more=due.more,
        batch=turn.batch,
        added=len(due.announcing),
        selected=selected,
        filled=sum(one.state == "filled" for one in due.commitments),
        failed=sum(one.state == "failed" for one in due.commitments),
        reassigned=thens.count("reassigned"),
        reopened=thens.count("reopened"),
        expired=thens.count("expired") + len(due.expiring),
    )
