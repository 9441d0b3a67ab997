"""The lanes' books: what each transaction did (`commits`), what each accepted command was (`events`), and what callers
with an Idempotency-Key were told (`answers`). Only the lane writes them.

A lane's `seq` is dense and gap-free in commit order by construction: one writer at a time reads the last one and
writes the next ones in the transaction that holds the lane's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.database.metadata import metadata
from marketplace.foundation.clock import Instant

# Split by lane on Postgres: serializable transactions of two lanes that share a page abort each other. On SQLite the
# primary key is the table: one tree to write to, and not two.
_by_lane: dict[str, Any] = {"postgresql_partition_by": "LIST (lane)", "sqlite_with_rowid": False}

commits = sa.Table(
    "commits",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, primary_key=True, comment="the lane's last seq after this transaction"),
    sa.Column("at", sa.BigInteger, primary_key=True, comment="instant; never goes back within a lane"),
    sa.Column(
        "token", sa.Text, primary_key=True, comment="made up by the writer: finds a COMMIT whose answer was lost"
    ),
    sa.Column(
        "count", sa.Integer, nullable=False, comment="commands accepted: they are last_seq - count + 1 … last_seq"
    ),
    sa.CheckConstraint("count >= 0", name="count_not_negative"),
    sa.CheckConstraint("last_seq >= count", name="seqs_begin_at_one"),
    comment="one row a transaction of a lane",
    **_by_lane,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False, comment="instant of the transaction"),
    sa.Column("topic", sa.Text, nullable=False, comment="the module"),
    sa.Column("kind", sa.Text, nullable=False, comment="what happened, as bid_placed"),
    sa.Column("subject", sa.Text, nullable=False, comment="what it happened to, as default/17"),
    sa.Column("member", sa.Text, nullable=True, comment="whose it is; null where nobody's"),
    sa.Column("data", sa.Text, nullable=False, comment="JSON: enough to replay the command"),
    sa.CheckConstraint("seq >= 1", name="seq_positive"),
    comment="the log: one row an accepted command",
    **_by_lane,
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True, comment="the Idempotency-Key"),
    sa.Column("fingerprint", sa.Text, nullable=False, comment="hash of the request, to refuse another one"),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False, comment="the answer, byte for byte"),
    sa.Column("at", sa.BigInteger, nullable=False, comment="instant; kept for 72 h from then"),
    sa.Index("answers_by_age", "lane", "at"),
    comment="what a caller was told, so that a second copy of a request is told the same",
    **_by_lane,
)


cuts = sa.Table(
    "cuts",
    metadata,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("last_seq", sa.BigInteger, nullable=False, comment="the last entry that was taken away"),
    sa.Column("at", sa.BigInteger, nullable=False, comment="instant"),
    sa.CheckConstraint("last_seq >= 1", name="last_seq_positive"),
    comment="where a lane's log was cut off at its old end; no row: it is whole",
)


class Head(NamedTuple):
    """Where a lane stands."""

    last_seq: int
    at: Instant


class Entry(msgspec.Struct, frozen=True):
    """A row of `events`; `data` is anything that msgspec writes as a JSON object."""

    lane: str
    seq: int
    at: Instant
    topic: str
    kind: str
    subject: str
    member: str | None
    data: Any


class Log:
    """Hands out the lane's next seqs, and keeps what is to be written until the lane writes it, once for all."""

    def __init__(self, lane: str, *, last_seq: int, at: Instant, kept: dict[str, dict[Any, Any]] | None = None) -> None:
        self.lane = lane
        self.first_seq = last_seq + 1
        self.last_seq = last_seq
        self.at = at
        self.is_dirty = False
        """Set by upkeep that writes without a command; otherwise no entry means that there is nothing to commit."""
        self._kept = {} if kept is None else kept
        self._entries: list[Entry] = []
        self._writes: list[bulk.Write] = []

    def kept(self, name: str) -> dict[Any, Any]:
        """Return what a module wants to know without reading it in every transaction, by a name of its own.

        It is what was left in there by this process's last transaction, and empty if anybody has written since: as the
        log tells, so it is for rows that no one changes without an entry.
        """
        return self._kept.setdefault(name, {})

    def take_kept(self) -> dict[str, dict[Any, Any]]:
        """Return all of it, for the next transaction."""
        return self._kept

    @property
    def next_seq(self) -> int:
        """The seq that the next entry will have."""
        return self.last_seq + 1

    @property
    def count(self) -> int:
        return self.last_seq - self.first_seq + 1

    def append(self, *, topic: str, kind: str, subject: str, member: str | None, data: object) -> int:
        """Take the next seq for an accepted command. `data` must be enough to replay it."""
        self.last_seq += 1
        self._entries.append(Entry(self.lane, self.last_seq, self.at, topic, kind, subject, member, data))
        return self.last_seq

    def write_later(self, writes: Iterable[bulk.Write]) -> None:
        """Leave a module's last writes to the lane, which sends them along with its own."""
        self._writes += writes

    def flush(self, tx: sa.Connection) -> None:
        """Write what was left until now, before somebody reads again."""
        bulk.write(tx, self._writes)
        self._writes = []

    def finish(self, tx: sa.Connection, *, token: str, answers: Sequence[Answered]) -> None:
        """Write everything that is left, the entries, the answers, and the row by which this transaction is found."""
        commit = {"lane": self.lane, "last_seq": self.last_seq, "token": token, "count": self.count, "at": self.at}
        books: list[bulk.Write] = [
            (_insert_events, self._entries),
            (_insert_answers, answers),
            (_insert_commit, [commit]),
        ]
        bulk.write(tx, [*self._writes, *books])


class Answered(msgspec.Struct, frozen=True):
    """A row of `answers`."""

    lane: str
    caller: str
    key: str
    fingerprint: str
    status: int
    body: str
    at: Instant


_put_cut = bulk.put_into(cuts, "lane", "last_seq", "at", changing=["last_seq", "at"])
_insert_events = bulk.insert_into(events, *events.c.keys(), apart="data")
_insert_commit = bulk.insert_into(commits, *commits.c.keys())
_insert_answers = bulk.insert_into(answers, *answers.c.keys())
_select_head = (
    sa.select(commits.c.last_seq, commits.c.at)
    .where(commits.c.lane == sa.bindparam("lane"))
    .order_by(commits.c.last_seq.desc(), commits.c.at.desc(), commits.c.token.desc())
    .limit(1)
)
_select_commit = sa.select(commits.c.token).where(
    commits.c.lane == sa.bindparam("lane"),
    commits.c.last_seq == sa.bindparam("last_seq"),
    commits.c.token == sa.bindparam("token"),
)
_find_answers = bulk.find_in(
    answers,
    {"lane": "lane", "caller": "caller", "key": "key"},
    [answers.c.caller, answers.c.key, answers.c.fingerprint, answers.c.status, answers.c.body],
)


def read_head(tx: sa.Connection, lane: str) -> Head:
    """Return the lane's last seq and instant: 0 and 0 before its first commit."""
    row = tx.execute(_select_head, {"lane": lane}).first()
    return Head(row.last_seq, row.at) if row else Head(0, 0)


def has_commit(tx: sa.Connection, lane: str, *, last_seq: int, token: str) -> bool:
    """Tell whether the transaction that meant to leave this row was committed."""
    return tx.execute(_select_commit, {"lane": lane, "last_seq": last_seq, "token": token}).first() is not None


def read_answers(tx: sa.Connection, lane: str, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """Return the stored answers for (caller, key) pairs, those that there are."""
    asked = [{"lane": lane, "caller": caller, "key": key} for caller, key in keys]
    return {(row.caller, row.key): row for row in _find_answers.fetch(tx, asked)}


def delete_old(tx: sa.Connection, lane: str, *, answered_before: Instant, committed_before: Instant, limit: int) -> int:
    """Forget at most `limit` answers and as many commits of the lane; its last commit stays. Return how many went."""
    old_keys = (
        sa.select(answers.c.caller, answers.c.key)
        .where(answers.c.lane == lane, answers.c.at < answered_before)
        .order_by(answers.c.at, answers.c.caller, answers.c.key)
        .limit(limit)
    )
    gone = tx.execute(
        sa.delete(answers).where(answers.c.lane == lane, sa.tuple_(answers.c.caller, answers.c.key).in_(old_keys))
    ).rowcount
    head = read_head(tx, lane)
    old_commits = (
        sa.select(commits.c.last_seq, commits.c.token)
        .where(commits.c.lane == lane, commits.c.at < committed_before)
        # Transactions that accepted nothing and only remembered refusals have the seq of the one before.
        .where(sa.or_(commits.c.last_seq < head.last_seq, commits.c.at < head.at))
        .order_by(commits.c.last_seq, commits.c.at, commits.c.token)
        .limit(limit)
    )
    is_old = sa.tuple_(commits.c.last_seq, commits.c.token).in_(old_commits)
    return gone + tx.execute(sa.delete(commits).where(commits.c.lane == lane, is_old)).rowcount


def read_cut(tx: sa.Connection, lane: str) -> int:
    """Return the last seq that was cut off the lane's log, 0 where it is whole."""
    return tx.execute(sa.select(cuts.c.last_seq).where(cuts.c.lane == lane)).scalar() or 0


def cut(tx: sa.Connection, lane: str, *, through: int, at: Instant, limit: int) -> int:
    """Delete the oldest entries up to a seq, at most `limit` and never the last one. Return how many went."""
    before = read_cut(tx, lane)
    last = min(through, before + limit, read_head(tx, lane).last_seq - 1)
    if last <= before:
        return 0
    gone = tx.execute(sa.delete(events).where(events.c.lane == lane, events.c.seq <= last)).rowcount
    _put_cut.execute(tx, [{"lane": lane, "last_seq": last, "at": at}])
    return gone
