"""The words of the log's readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec

from marketplace.events import errors
from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

Said = TypeVar("Said")

LANES = ("hours", "addresses", "money")


class Entry(msgspec.Struct, frozen=True):
    """One entry of a log. `json` is all of it as the API writes it, made once for all who read it."""

    seq: int
    topic: str
    kind: str
    subject: str
    member: str | None
    json: bytes

    def read(self, kind: type[Said]) -> Said:
        """Return its data as the struct of its kind. Raises msgspec.ValidationError."""
        return msgspec.json.decode(msgspec.json.decode(self.json, type=_Carrier).data, type=kind)


class _Carrier(msgspec.Struct):
    data: msgspec.Raw


class Page(NamedTuple):
    """Entries of a lane, up to `next`: what was passed over before it is not wanted. `head` is the lane's last seq."""

    entries: list[Entry]
    next: int
    head: int


class Lag(NamedTuple):
    """By how many entries somebody is behind a lane, and when the first of them was written; None: by none."""

    consumer: str
    lane: str
    entries: int
    since: Instant | None


class Mark(NamedTuple):
    """An entry by its seq, and by its topic, kind, subject and member, as `Wanted.has` takes them."""

    seq: int
    named: tuple[str, str, str, str | None]


class Wanted(msgspec.Struct, frozen=True):
    """Which entries a reader asks for, and may see.

    Without topics, kinds or a subject it asks for any. A subject means also what is below it: `default` is
    `default/17` too. A `member` sees its own entries and the public kinds; with `sees_all` whose they are does not
    matter.
    """

    sees_all: bool = True
    member: str | None = None
    public: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    subject: str | None = None

    @property
    def is_everything(self) -> bool:
        return self.sees_all and not (self.topics or self.kinds or self.subject is not None)

    def has(self, topic: str, kind: str, subject: str, member: str | None) -> bool:
        """Tell whether an entry is wanted. `sql.is_wanted` says the same in SQL."""
        return (
            (self.sees_all or kind in self.public or (member is not None and member == self.member))
            and (not self.topics or topic in self.topics)
            and (not self.kinds or kind in self.kinds)
            and (self.subject is None or subject == self.subject or subject.startswith(f"{self.subject}/"))
        )


class Kinds:
    """All kinds of events that there are, put together by whoever composes the service."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.all = tuple(kinds)
        self._names = frozenset(kind.name for kind in self.all)
        self.topics = tuple(sorted({kind.topic for kind in self.all}))
        self.public = frozenset(kind.name for kind in self.all if kind.is_public)
        assert len(self._names) == len(self.all), "two kinds have one name"

    def check(self, *, topics: Iterable[str], kinds: Iterable[str]) -> None:
        """Refuse topics and kinds that no event has. Raises UnknownKind."""
        for field, given, known in (("topic", topics, self.topics), ("kind", kinds, self._names)):
            for name in given:
                if name not in known:
                    raise errors.UnknownKind(field, name)


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class Advance(msgspec.Struct, frozen=True):
    """Move a consumer of a lane's log from where it was to a later seq. Outcome: the seq.

    `after` is None for a consumer that has no cursor yet. Refused as CursorMoved where it is elsewhere by now.
    """

    consumer: str
    lane: str
    after: int | None
    seq: int
