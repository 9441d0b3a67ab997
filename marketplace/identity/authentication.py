"""Whose key it is: what stands between a request and its caller.

A key is read from the database, and what was read is good for half a second, so that a revocation is felt within one
second by every process, with nobody being told. Whoever asks for the same key meanwhile waits for the same read. Keys
that there are not are remembered too, and no more than `MAX_REMEMBERED` in all. Expiry is looked at each time.

Why a read that took long does not count: it shows the key as it was when the read began.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from prometheus_client import Counter

from marketplace.database import Database, Lane
from marketplace.foundation import clock as clocks
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from marketplace.http.callers import Caller
from marketplace.identity import keys, lookups
from marketplace.identity.model import Key, NoteUses
from marketplace.identity.service import USE_NOTED_AFTER

FRESH_SECONDS = 0.5
"""How long what was read is used again."""
GOOD_SECONDS = 1.0
"""How old it may be by the time it has arrived."""
MAX_REMEMBERED = 10_000
MAX_READS = 3
NOTE_SECONDS = 5.0

REFUSED = Counter("marketplace_keys_refused_total", "Requests whose key was refused, by reason", ["reason"])


class Known(msgspec.Struct, frozen=True):
    """What the database said of a key, and the monotonic second at which it was asked."""

    asked_at: float
    key: Key | None
    caller: Caller | None


class Authentication:
    """Tells the caller of a key, in one process."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], Instant] = clocks.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._reads: dict[str, asyncio.Task[Known]] = {}
        self._uses: dict[str, Instant] = {}

    async def __call__(self, token: str) -> Caller:
        """Return the caller whose key this is. Raises Unauthenticated, or Busy where the database is away.

        Why a key is of no use any more is told to who has its secret, and to nobody else.
        """
        parsed = keys.parse(token)
        if parsed is None:
            raise _refuse("malformed", "What came as a key is none: it looks like mk_0123456789abcdef_ and 64 digits.")
        key_id, secret = parsed
        known = self._known.get(key_id)
        if known is None or self._monotonic() - known.asked_at >= FRESH_SECONDS:
            known = await self._look_up(key_id)
        key = known.key
        if key is None or not keys.verify(secret, key.secret_hash):
            raise _refuse("unknown", "Nobody has this key.")
        now = self._clock()
        if key.revoked_at is not None:
            raise _refuse("revoked", f"The key was revoked at {_text(key.revoked_at)}; use another one.")
        if key.expires_at is not None and key.expires_at <= now:
            raise _refuse("expired", f"The key expired at {_text(key.expires_at)}; use another one.")
        if key.last_used_at is None or now >= key.last_used_at + USE_NOTED_AFTER:
            self._uses[key_id] = now
        assert known.caller
        return known.caller

    def take_uses(self) -> NoteUses | None:
        """Return what is to be noted since the last time, None where nothing is."""
        uses, self._uses = self._uses, {}
        return NoteUses(tuple(uses.items())) if uses else None

    async def note_uses(self, lane: Lane, *, stop: asyncio.Event) -> None:
        """Note every few seconds, and at the end, which keys were used, until `stop` is set."""
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), NOTE_SECONDS)
            is_last = stop.is_set()
            if command := self.take_uses():
                # A lane that is busy has better things to do: the next use of these keys is noted.
                with contextlib.suppress(errors.Refusal):
                    await lane.run(command)

    async def _look_up(self, key_id: str) -> Known:
        """Return what the database says of a key, less than a second ago."""
        for _ in range(MAX_READS):
            read = self._reads.get(key_id)
            if read is None:
                read = self._reads[key_id] = asyncio.create_task(self._read(key_id))
                read.add_done_callback(lambda done: self._forget_read(key_id, done))
            # A caller that goes away takes nothing from the others that wait.
            known = await asyncio.shield(read)
            if self._monotonic() - known.asked_at < GOOD_SECONDS:
                return known
        raise errors.Busy("The database is too slow to tell whose key it is; nothing happened, try again in a second.")

    async def _read(self, key_id: str) -> Known:
        asked_at = self._monotonic()
        key = await self._database.read_one(lookups.find_key, key_id)
        known = self._known[key_id] = Known(asked_at, key, _caller(key) if key else None)
        self._known.move_to_end(key_id)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _forget_read(self, key_id: str, done: asyncio.Task[Known]) -> None:
        del self._reads[key_id]
        if not done.cancelled():
            done.exception()  # whoever waited was told; perhaps nobody did


def _caller(key: Key) -> Caller:
    return Caller(key.username, frozenset(key.scopes), key.key_id, key.expires_at)  # type: ignore[arg-type]


def _refuse(reason: str, detail: str) -> errors.Unauthenticated:
    REFUSED.labels(reason).inc()
    return errors.Unauthenticated(detail)


def _text(instant: Instant) -> str:
    return clocks.to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%SZ")
