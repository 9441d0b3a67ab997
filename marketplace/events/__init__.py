"""What happened, in order: readers of the lanes' logs.

Each lane has a log of its own, whose `seq` is dense and gap-free in commit order: a reader that remembers the last seq
it saw misses nothing and sees nothing twice.
"""

from marketplace.events.service import LANES, list_events

__all__ = ["LANES", "list_events"]
