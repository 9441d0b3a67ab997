"""What the log refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class LogCut(errors.Gone):
    """What was asked for is older than what is kept: go on from `oldest_seq`."""

    code = "events.log_cut"
    title = "No longer in the log"

    def __init__(self, lane: str, oldest_seq: int) -> None:
        super().__init__(
            f"The log of the lane {lane!r} is kept from seq {oldest_seq} on: ask with after={oldest_seq - 1}.",
            lane=lane,
            oldest_seq=oldest_seq,
        )


class UnknownKind(errors.Invalid):
    """No event is of this kind or topic; the guide lists them."""

    code = "events.unknown_kind"
    title = "Unknown kind of events"

    def __init__(self, field: str, name: str) -> None:
        super().__init__(f"There is no {field} {name!r} of events.", field=field)


class CursorMoved(errors.Conflict):
    """Another process dealt with the same events meanwhile."""

    code = "events.cursor_moved"
    title = "Cursor moved"

    def __init__(self, consumer: str, lane: str) -> None:
        super().__init__(f"The consumer {consumer!r} of the lane {lane!r} is not where you take it to be.")
