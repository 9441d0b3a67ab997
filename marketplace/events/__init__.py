"""What happened, in order: the readers of the lanes' logs.

Each lane has a log of its own, whose `seq` is dense and gap-free in commit order: a reader that remembers the last seq
it saw misses nothing and sees nothing twice. What the entries mean, each module says of its own (`foundation.kinds`).

    Feed        the logs' ends in this process: pages, long polls, streams
    Kinds       every kind of event, put together by whoever composes the service
"""

from marketplace.events.feed import Feed
from marketplace.events.model import LANES, Kinds, Wanted

__all__ = ["LANES", "Feed", "Kinds", "Wanted"]
