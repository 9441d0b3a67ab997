"""The database: two engines with one meaning, the lanes that write to it, and reads.

open_database(url)      the engines; `read(fn, …)` runs a sync function in a read-only snapshot
Lane                    the one way to write
Log                     what a module's `apply` appends its accepted commands to
"""

from marketplace.database.engine import Database, open_database
from marketplace.database.lane import Abandon, Apply, Lane
from marketplace.database.log import Log
from marketplace.database.waiting import Answer, Encode, Key, Limits

__all__ = ["Abandon", "Answer", "Apply", "Database", "Encode", "Key", "Lane", "Limits", "Log", "open_database"]
