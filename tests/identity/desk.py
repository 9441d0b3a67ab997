"""Members and keys without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from marketplace import identity
from marketplace.identity import CreateKey, CreateMember, Key, Member, tables
from tests.services.lane_desk import LaneDesk


class Made(NamedTuple):
    """A key, and what its owner calls with."""

    key: Key
    token: str


class Desk(LaneDesk):
    """Where a test makes members and keys. Whoever changes rows behind the lane's back sets `is_tampered`."""

    OWN = (tables.members, tables.api_keys)

    async def member(self, username: str = "ann") -> Member:
        made: Member = await self.run(CreateMember(username))
        return made

    async def key(self, *scopes: str, username: str = "ann", **more: Any) -> Made:
        """Make a key, and its member where there is none."""
        drawn = identity.make_key()
        with contextlib.suppress(identity.errors.MemberExists):
            await self.member(username)
        made: Key = await self.run(
            CreateKey(drawn.key_id, drawn.secret_hash, username, scopes or ("read", "trade"), **more)
        )
        return Made(made, drawn.token)

    async def stored(self, key_id: str) -> Key:
        found = await self.database.read_one(identity.find_key, key_id)
        assert found
        return found

    async def audit(self) -> list[str]:
        return await self.database.read(identity.audit)
