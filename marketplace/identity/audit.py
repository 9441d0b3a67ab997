"""Proves the books of identity: replaying the log gives the same members and keys.

What the log does not tell is left out: the hash of a secret, and when a key was last used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import money, proofs
from marketplace.database.proofs import Unlawful, require
from marketplace.foundation.clock import Instant
from marketplace.identity import model, sql
from marketplace.identity.model import Key, Member
from marketplace.identity.service import TOPIC
from marketplace.identity.tables import api_keys, members

_decode = msgspec.json.Decoder(model.Event).decode


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance."""
    replay = Replay()
    for row in proofs.read_log(tx, money.LANE):
        if row.topic != TOPIC:
            continue
        try:
            replay.run(row.seq, row.at, _decode(row.data))
        except (Unlawful, msgspec.MsgspecError) as fault:
            return [f"events: the replay stops at seq {row.seq} ({row.kind}): {fault}"]
    return list(replay.compare(tx))


class Replay:
    """The members and keys, as the log tells them."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.keys: dict[str, Key] = {}

    def run(self, seq: int, at: Instant, said: model.Event) -> None:
        """Do again what one entry of the log says. Raises Unlawful."""
        match said:
            case model.MemberCreated():
                require(said.username not in self.members, "the member is there already")
                self.members[said.username] = Member(said.username, seq, at)
            case model.KeyCreated():
                require(said.key_id not in self.keys, "the key is there already")
                require(said.username in self.members, "nobody has that name")
                about = (said.username, said.label, said.scopes)
                self.keys[said.key_id] = Key(said.key_id, seq, *about, "", at, said.expires_at)
            case model.KeyRevoked():
                require(said.key_id in self.keys, "there is no such key")
                key = self.keys[said.key_id]
                require(key.revoked_at is None, "the key is revoked already")
                self.keys[said.key_id] = msgspec.structs.replace(key, revoked_at=at)

    def compare(self, tx: sa.Connection) -> Iterator[str]:
        """Tell where the tables differ."""
        found = ((row.username, sql.to_member(row)) for row in proofs.pages(tx, members, [members.c.username]))
        yield from proofs.differences("members", dict(self.members), found)
        yield from proofs.differences("api_keys", dict(self.keys), _stored_keys(tx))


def _stored_keys(tx: sa.Connection) -> Iterator[tuple[Any, Any]]:
    for row in proofs.pages(tx, api_keys, [api_keys.c.key_id]):
        key = sql.to_key(row)
        yield key.key_id, msgspec.structs.replace(key, secret_hash="", last_used_at=None)
