"""What happened, in order: the readers of the lanes' logs, and who follows them.

Each lane has a log of its own, whose `seq` is dense and gap-free in commit order: a reader that remembers the last seq
it saw misses nothing and sees nothing twice. What the entries mean, each module says of its own (`foundation.kinds`).

    Feed        the logs' ends in this process: pages, long polls, streams
    Ends, Tail  the same for a log that a module keeps of its own
    Kinds       every kind of event, put together by whoever composes the service
    follow      a job's durable cursor: at least once; the logs are kept for it
    advance     the same within the caller's own transaction: exactly once, in the lane `money`
    handlers()  what the lane `money` needs to run the commands

Webhooks, for those who act for a member: the commands CreateWebhook ChangeWebhook DeleteWebhook RotateSecret
TestWebhook ReplayEntries; the reads list_webhooks find_webhook list_deliveries read_heads read_waiting select_replayed;
check_target() before an address is taken, and new_secret().
"""

from marketplace.events import errors
from marketplace.events.cursors import advance
from marketplace.events.ends import Ends
from marketplace.events.errors import CursorMoved, LogCut
from marketplace.events.feed import STATE as FEED
from marketplace.events.feed import Feed
from marketplace.events.following import follow
from marketplace.events.lookups import read_batch, read_lags, read_marks
from marketplace.events.model import LANES, Advance, Entry, Kinds, Lag, Mark, Wanted
from marketplace.events.reports import REPORTS, read_report
from marketplace.events.service import handlers
from marketplace.events.signing import new_secret
from marketplace.events.tail import Tail
from marketplace.events.targets import parse as check_target
from marketplace.events.webhook_lookups import (
    find_webhook,
    list_deliveries,
    list_webhooks,
    read_heads,
    read_waiting,
    select_replayed,
)
from marketplace.events.webhook_model import (
    KINDS,
    MOST_REPLAYED,
    Attempt,
    ChangeWebhook,
    CreateWebhook,
    DeleteWebhook,
    Delivery,
    ReplayEntries,
    RotateSecret,
    TestWebhook,
    Webhook,
)

__all__ = [
    "FEED",
    "KINDS",
    "LANES",
    "MOST_REPLAYED",
    "REPORTS",
    "Advance",
    "Attempt",
    "ChangeWebhook",
    "CreateWebhook",
    "CursorMoved",
    "DeleteWebhook",
    "Delivery",
    "Ends",
    "Entry",
    "Feed",
    "Kinds",
    "Lag",
    "LogCut",
    "Mark",
    "ReplayEntries",
    "RotateSecret",
    "Tail",
    "TestWebhook",
    "Wanted",
    "Webhook",
    "advance",
    "check_target",
    "errors",
    "find_webhook",
    "follow",
    "handlers",
    "list_deliveries",
    "list_webhooks",
    "new_secret",
    "read_batch",
    "read_heads",
    "read_lags",
    "read_marks",
    "read_report",
    "read_waiting",
    "select_replayed",
]
