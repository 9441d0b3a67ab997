"""Whether a solver keeps its word: what its bond loses, and when it may not bid for a while.

The breaker is that of UniswapX, with its numbers. The failure rate is smoothed by 1 failure and 19 fills that never
were, (failures + 1) / (total + 20), so that one failure of a newcomer is forgiven: 2 / 21 is 9.5 %, and 3 / 22, two of
two, is 13.6 %. Above 12 % a solver is blocked for 15 minutes × 2^n, at most 32 hours, n being its blocks in a row;
after that it begins with a clean slate. Whoever fails while it is blocked, with what it had promised before, is blocked
for longer, from the end of the block on. Six fills in a row without being blocked take one from n.

Old news count less: at 100 outcomes both numbers are halved.

    s1 fails its first order       2 / 21      9.5 %      may go on
    s1 fails its second one        3 / 22     13.6 %      blocked for 15 minutes, n = 1
    s1 fails two more after that   3 / 22     13.6 %      blocked for 30 minutes, n = 2
    s1 fills six                                          n = 1
"""

from __future__ import annotations

import msgspec

from marketplace.auctions.model import SolverRecord
from marketplace.foundation.clock import MINUTE, Instant

PRIOR_FAILURES, PRIOR_TOTAL = 1, 20
BLOCK_ABOVE_PERCENT = 12
FIRST_BLOCK = 15 * MINUTE
MOST_DOUBLINGS = 7
"""15 minutes × 2^7 are 32 hours."""
FILLS_PER_DECAY = 6
HALVED_AT = 100
SLASHED_PERCENT = 50
"""Of a bond, when the commitment fails: to the owner, the rest goes back."""


def slashed(bond: int) -> int:
    """Return what a failure takes of a bond: half of it, rounded up."""
    return -(-bond * SLASHED_PERCENT // 100)


def is_above(failures: int, total: int) -> bool:
    """Tell whether the smoothed failure rate is above what is borne; exact, in integers."""
    return 100 * (failures + PRIOR_FAILURES) > BLOCK_ABOVE_PERCENT * (total + PRIOR_TOTAL)


def block_length(blocks: int) -> int:
    """Return how long a block is, in microseconds, after so many in a row."""
    return int(FIRST_BLOCK << min(blocks, MOST_DOUBLINGS))


def after_fill(record: SolverRecord, *, now: Instant) -> SolverRecord:
    """Return the record of a solver that has kept its word."""
    after = msgspec.structs.replace(record, filled=record.filled + 1)
    after.window_total += 1
    _halve(after)
    if not after.is_blocked(now):
        after.clean_run += 1
        if after.clean_run >= FILLS_PER_DECAY:
            after.clean_run = 0
            after.blocks = max(after.blocks - 1, 0)
    return after


def after_failure(record: SolverRecord, *, now: Instant) -> SolverRecord:
    """Return the record of a solver that has not, blocked where that was once too often."""
    after = msgspec.structs.replace(record, failed=record.failed + 1, clean_run=0)
    if after.is_blocked(now):
        _block(after, since=after.blocked_until)
        return after
    after.window_total += 1
    after.window_failures += 1
    if is_above(after.window_failures, after.window_total):
        _block(after, since=now)
    else:
        _halve(after)
    return after


def _block(record: SolverRecord, *, since: Instant) -> None:
    record.blocked_until = since + block_length(record.blocks)
    record.blocks += 1
    record.window_total = record.window_failures = 0


def _halve(record: SolverRecord) -> None:
    if record.window_total >= HALVED_AT:
        record.window_total //= 2
        record.window_failures //= 2
