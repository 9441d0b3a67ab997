"""Whose key it is: what stands between a request and its caller; and whose session it is, where a page is asked for.

Both are read from the database, and what was read is good for half a second (see `recent`). Expiry is looked at each
time. A session opens exactly what its key does: with the key it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
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
from marketplace.identity.recent import Recent
from marketplace.identity.service import USE_NOTED_AFTER

NOTE_SECONDS = 5.0

REFUSED = Counter("marketplace_keys_refused_total", "Requests whose key was refused, by reason", ["reason"])


class KnownKey(msgspec.Struct, frozen=True):
    """A key, and the caller who calls by it."""

    key: Key
    caller: Caller


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
        self._keys = Recent(self._read_key, monotonic=monotonic)
        self._sessions = Recent(
            lambda session_hash: database.read_one(lookups.find_session, session_hash), monotonic=monotonic
        )
        self._uses: dict[str, Instant] = {}

    async def __call__(self, token: str) -> Caller:
        """Return the caller whose key this is. Raises Unauthenticated, or Busy where the database is away.

        Why a key is of no use any more is told to who has its secret, and to nobody else.
        """
        parsed = keys.parse(token)
        if parsed is None:
            raise _refuse("malformed", "What came as a key is none: it looks like mk_0123456789abcdef_ and 64 digits.")
        key_id, secret = parsed
        known = await self._keys.get(key_id)
        if known is None or not keys.verify(secret, known.key.secret_hash):
            raise _refuse("unknown", "Nobody has this key.")
        return self._admit(known)

    async def of_session(self, session_id: str) -> Caller:
        """Return the caller who has signed in. Raises Unauthenticated, or Busy where the database is away."""
        if not keys.is_session_id(session_id):
            raise _refuse("malformed", "You are not signed in.")
        session = await self._sessions.get(keys.hash_secret(session_id))
        if session is None or session.expires_at <= self._clock():
            raise _refuse("unknown", "You are not signed in any more.")
        known = await self._keys.get(session.key_id)
        assert known, "a session names a key that there is"
        return self._admit(known)

    def forget_session(self, session_id: str) -> None:
        """Let a session that was closed be of no use here at once; elsewhere it is within a second."""
        self._sessions.forget(keys.hash_secret(session_id))

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

    def _admit(self, known: KnownKey) -> Caller:
        """Return the caller of a key that is good now. Raises Unauthenticated."""
        key, now = known.key, self._clock()
        if key.revoked_at is not None:
            raise _refuse("revoked", f"The key was revoked at {_text(key.revoked_at)}; use another one.")
        if key.expires_at is not None and key.expires_at <= now:
            raise _refuse("expired", f"The key expired at {_text(key.expires_at)}; use another one.")
        if key.last_used_at is None or now >= key.last_used_at + USE_NOTED_AFTER:
            self._uses[key.key_id] = now
        return known.caller

    async def _read_key(self, key_id: str) -> KnownKey | None:
        key = await self._database.read_one(lookups.find_key, key_id)
        return None if key is None else KnownKey(key, _caller(key))


def _caller(key: Key) -> Caller:
    return Caller(key.username, frozenset(key.scopes), key.key_id, key.expires_at)  # type: ignore[arg-type]


def _refuse(reason: str, detail: str) -> errors.Unauthenticated:
    REFUSED.labels(reason).inc()
    return errors.Unauthenticated(detail)


def _text(instant: Instant) -> str:
    return clocks.to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%SZ")
