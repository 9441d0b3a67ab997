"""Members and keys without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from marketplace import identity
from marketplace.database import Database, Lane, log
from marketplace.foundation.errors import Refusal
from marketplace.identity import CreateKey, CreateMember, Key, Member, tables
from tests.services import raw
from tests.services.clock import SettableClock


class Made(NamedTuple):
    """A key, and what its owner calls with."""

    key: Key
    token: str


class Desk:
    """Where a test makes members and keys. Whoever changes rows behind the lane's back sets `is_tampered`."""

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        self.lane = lane
        self.database = database
        self.clock = clock
        self.is_tampered = False

    async def run(self, command: Any) -> Any:
        return await self.lane.run(command)

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

    async def refused(self, command: Any, kind: type[Refusal]) -> Refusal:
        """Expect a refusal that leaves no trace: no row and no seq."""
        before = await self.everything()
        with pytest.raises(kind) as caught:
            await self.run(command)
        assert await self.everything() == before
        return caught.value

    async def stored(self, key_id: str) -> Key:
        found = await self.database.read_one(identity.find_key, key_id)
        assert found
        return found

    async def audit(self) -> list[str]:
        return await self.database.read(identity.audit)

    async def everything(self) -> Mapping[str, list[Any]]:
        """Return every row that there is."""

        def select_all(tx: sa.Connection) -> dict[str, list[Any]]:
            return {
                table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                for table in (tables.members, tables.api_keys, log.events, log.commits)
            }

        return await self.database.read(select_all)

    async def tamper(self, *statements: str) -> None:
        """Change rows by raw SQL, past the lane."""
        self.is_tampered = True
        await raw.execute(self.database, *statements)
