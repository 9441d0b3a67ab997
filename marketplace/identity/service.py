"""What the lane runs: members and keys made, keys revoked and their uses noted, sessions opened and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import Apply, Log
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.identity import errors, keys, model, sql
from marketplace.identity.model import Key, Member, Session

USE_NOTED_AFTER = clock.MINUTE
"""A key's last use is written again once it is this much later."""


class Desk:
    """The members and keys that a batch has in its hands: read once for all, written once for all."""

    def __init__(self, tx: sa.Connection, commands: Sequence[Any], *, now: Instant) -> None:
        self.tx, self.now = tx, now
        usernames = {each.username for each in commands if isinstance(each, model.CreateMember | model.CreateKey)}
        self.members = {member.username: member for member in sql.read_members(tx, usernames)}
        self.keys = {key.key_id: key for key in sql.read_keys(tx, set(_key_ids(commands)))}
        self._new_members: list[Member] = []
        self._changed_keys: dict[str, Key] = {}
        self._new_sessions: list[Session] = []

    def add_member(self, member: Member) -> None:
        self.members[member.username] = member
        self._new_members.append(member)

    def put_key(self, key: Key) -> None:
        self.keys[key.key_id] = self._changed_keys[key.key_id] = key

    def add_session(self, session: Session) -> None:
        self._new_sessions.append(session)

    def take_writes(self) -> list[Any]:
        return [
            sql.insert_members(self._new_members),
            sql.put_keys(self._changed_keys.values()),
            sql.insert_sessions(self._new_sessions),
        ]


def handlers() -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it."""
    return dict.fromkeys(_DECISIONS, apply)


def apply(tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant) -> list[Any]:
    """Run commands in arrival order.

    Keeps: a key that is revoked stays so; nothing of a key but its revocation and its last use ever changes.
    A refusal is an outcome and writes nothing. Uses and sessions are written without an entry of the log.
    """
    desk = Desk(tx, commands, now=now)
    outcomes = [_DECISIONS[type(command)](desk, log, command) for command in commands]
    log.write_later(desk.take_writes())
    return outcomes


def _key_ids(commands: Sequence[Any]) -> Iterator[str]:
    for command in commands:
        match command:
            case model.CreateKey() | model.RevokeKey() | model.OpenSession():
                yield command.key_id
            case model.NoteUses():
                yield from (key_id for key_id, _ in command.uses)


def _create_member(desk: Desk, log: Log, command: model.CreateMember) -> Member | Refusal:
    if command.username in desk.members:
        return errors.MemberExists(command.username)
    said = model.MemberCreated(command.username)
    member = Member(command.username, _note(log, said, command.username), desk.now)
    desk.add_member(member)
    return member


def _create_key(desk: Desk, log: Log, command: model.CreateKey) -> Key | Refusal:
    if command.username not in desk.members:
        return errors.UnknownMember(command.username)
    if command.limit and (refusal := keys.exceeds(command, command.limit)):
        return refusal
    if command.expires_at is not None and command.expires_at <= desk.now:
        return errors.ExpiryPassed()
    assert command.key_id not in desk.keys, "an id of 64 random bits was drawn twice"
    scopes = tuple(sorted(set(command.scopes)))
    said = model.KeyCreated(command.key_id, command.username, command.label, scopes, command.expires_at)
    key = Key(
        command.key_id,
        _note(log, said, command.key_id),
        command.username,
        command.label,
        scopes,
        command.secret_hash,
        desk.now,
        command.expires_at,
    )
    desk.put_key(key)
    return key


def _revoke_key(desk: Desk, log: Log, command: model.RevokeKey) -> Key | Refusal:
    key, limit = desk.keys.get(command.key_id), command.limit
    if key is None or (limit and key.username != limit.username):
        return errors.UnknownKey(command.key_id)
    if limit and (refusal := keys.exceeds(key, limit)):
        return refusal
    if key.revoked_at is None:
        _note(log, model.KeyRevoked(key.key_id, key.username), key.key_id)
        key = msgspec.structs.replace(key, revoked_at=desk.now)
        desk.put_key(key)
    return key


def _note_uses(desk: Desk, log: Log, command: model.NoteUses) -> int:
    count = 0
    for key_id, used_at in command.uses:
        key = desk.keys.get(key_id)
        if key is None:
            continue
        # The clocks of processes differ: a use is never to come, nor before the key.
        at = max(min(used_at, desk.now), key.created_at)
        if key.last_used_at is None or at >= key.last_used_at + USE_NOTED_AFTER:
            desk.put_key(msgspec.structs.replace(key, last_used_at=at))
            count += 1
    log.is_dirty = log.is_dirty or count > 0
    return count


def _open_session(desk: Desk, log: Log, command: model.OpenSession) -> Session | Refusal:
    key = desk.keys.get(command.key_id)
    if key is None or key.revoked_at is not None:
        return errors.UnknownKey(command.key_id)
    until = command.expires_at if key.expires_at is None else min(command.expires_at, key.expires_at)
    if until <= desk.now:
        return errors.UnknownKey(command.key_id)
    session = Session(command.session_hash, key.key_id, desk.now, until)
    desk.add_session(session)
    log.is_dirty = True
    return session


def _close_session(desk: Desk, log: Log, command: model.CloseSession) -> bool:
    """Delete at once: nobody opens and closes the same session in one batch, since its id was not told before."""
    was_there = sql.delete_session(desk.tx, command.session_hash)
    log.is_dirty = log.is_dirty or was_there
    return was_there


def _forget_sessions(desk: Desk, log: Log, command: model.ForgetSessions) -> int:
    count = sql.delete_sessions(desk.tx, now=desk.now, limit=command.limit)
    log.is_dirty = log.is_dirty or count > 0
    return count


def _note(log: Log, said: model.MemberCreated | model.KeyCreated | model.KeyRevoked, subject: str) -> int:
    """Append what happened and return its seq."""
    kind = str(said.__struct_config__.tag)
    return log.append(topic=model.TOPIC, kind=kind, subject=subject, member=said.username, data=said)


_DECISIONS: dict[type, Callable[[Desk, Log, Any], Any]] = {
    model.CreateMember: _create_member,
    model.CreateKey: _create_key,
    model.RevokeKey: _revoke_key,
    model.NoteUses: _note_uses,
    model.OpenSession: _open_session,
    model.CloseSession: _close_session,
    model.ForgetSessions: _forget_sessions,
}
