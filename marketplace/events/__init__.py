"""What happened, in order: the readers of the lanes' logs, and who follows them.

Each lane has a log of its own, whose `seq` is dense and gap-free in commit order: a reader that remembers the last seq
it saw misses nothing and sees nothing twice. What the entries mean, each module says of its own (`foundation.kinds`).

    Feed        the logs' ends in this process: pages, long polls, streams
    Ends, Tail  the same for a log that a module keeps of its own
    Kinds       every kind of event, put together by whoever composes the service
    follow      a job's durable cursor: at least once; the logs are kept for it
    advance     the same within the caller's own transaction: exactly once, in the lane `money`
    handlers()  what the lane `money` needs to run the commands
"""

from marketplace.events.cursors import advance
from marketplace.events.ends import Ends
from marketplace.events.errors import CursorMoved, LogCut
from marketplace.events.feed import Feed
from marketplace.events.following import follow
from marketplace.events.lookups import read_batch
from marketplace.events.model import LANES, Advance, Entry, Kinds, Wanted
from marketplace.events.service import handlers
from marketplace.events.tail import Tail
from marketplace.events.webhook_model import KINDS

__all__ = [
    "KINDS",
    "LANES",
    "Advance",
    "CursorMoved",
    "Ends",
    "Entry",
    "Feed",
    "Kinds",
    "LogCut",
    "Tail",
    "Wanted",
    "advance",
    "follow",
    "handlers",
    "read_batch",
]
