"""What can be refused: one root and its kinds.

A refusal is a value inside a lane (decided before the first write, leaving no trace) and an exception at the edges.
It says nothing of HTTP: `http.problems` maps each kind to a status, once. Modules subclass a kind, one class a
refusal, with typed fields and a stable `code`.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The root: something that a caller asked for is not going to happen.

    `detail` is a sentence that tells the caller what to do next; `extra` are further members of the problem document.
    """

    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "Refused"
    storable: ClassVar[bool] = True
    """Whether an Idempotency-Key may remember it: not where trying again may end otherwise."""

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class Invalid(Refusal):
    """The request makes no sense as written. `field` names the part at fault, where there is one."""

    code = "invalid"
    title = "Invalid request"

    def __init__(self, detail: str, *, field: str | None = None, **extra: object) -> None:
        super().__init__(detail, **({"field": field} if field else {}), **extra)


class Unauthenticated(Refusal):
    """Nobody knows who calls."""

    code = "unauthenticated"
    title = "Not authenticated"


class Unaffordable(Refusal):
    """The wallet does not cover it."""

    code = "unaffordable"
    title = "Not enough credits"


class Forbidden(Refusal):
    """The caller is known, and may not."""

    code = "forbidden"
    title = "Forbidden"


class NotFound(Refusal):
    """No such thing, or none that this caller may see."""

    code = "not_found"
    title = "Not found"


class Gone(Refusal):
    """It was there once, and is no more."""

    code = "gone"
    title = "Gone"


class Conflict(Refusal):
    """The state of things does not allow it now."""

    code = "conflict"
    title = "Conflict"


class Mismatch(Refusal):
    """An Idempotency-Key came back with another request."""

    code = "idempotency_mismatch"
    title = "Idempotency-Key used for another request"


class Exhausted(Refusal):
    """There is nothing left to give; trying again will not help by itself."""

    code = "exhausted"
    title = "Exhausted"
    storable = False


class Busy(Refusal):
    """Not now: nothing happened, try again after `retry_after_seconds`."""

    code = "busy"
    title = "Busy"
    storable = False

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(Refusal):
    """The database went away while it committed, and did not come back in time to say how that ended."""

    code = "outcome_unknown"
    title = "Outcome unknown"
    storable = False


class Broken(Refusal):
    """A bug of ours met this request, alone; nothing was written."""

    code = "internal_error"
    title = "Internal error"
    storable = False
