"""Following a log with a durable cursor: at least once, in order, across restarts.

    while await events.follow(database, money, "billing", "hours", charge):
        pass

`charge` gets the next entries; when it returns, the cursor moves behind them. A process that dies in between does the
same entries again, so what it does must bear that. What must happen exactly once, and belongs to the lane `money`, is
done in a command of one's own that calls `advance` with its tx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from marketplace.database import Database, Lane
from marketplace.events import lookups
from marketplace.events.errors import CursorMoved
from marketplace.events.model import Advance, Entry, Wanted

Handle = Callable[[Sequence[Entry]], Awaitable[object]]

EVERYTHING = Wanted()
BATCH = 500


async def follow(
    database: Database,
    money: Lane,
    consumer: str,
    lane: str,
    handle: Handle,
    *,
    wanted: Wanted = EVERYTHING,
    limit: int = BATCH,
) -> int:
    """Deal with the next entries of a lane; return how far the cursor moved, 0 where there is nothing new.

    From its first call on, the log is kept for the consumer: retention never passes it. It begins with the oldest entry
    that there is. Two processes with one consumer may both be given the same entries; the cursor moves once.
    """
    cursor, after, page = await database.read(lookups.read_batch, consumer, lane, wanted, limit=limit)
    try:
        if cursor is None:
            cursor = await money.run(Advance(consumer, lane, after=None, seq=after))
        if page.entries:
            await handle(page.entries)
        if page.next > after:
            await money.run(Advance(consumer, lane, after=cursor, seq=page.next))
    except CursorMoved:
        return 1  # another process was faster: look again
    return page.next - after
