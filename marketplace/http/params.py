"""The parameters that several paths share, with their bounds.

Litestar reads a parameter's bounds from its marker, not from msgspec's Meta, so those of `wire.limits` are said again
here from the same numbers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
from litestar.params import PathParameter, QueryParameter

from marketplace.foundation import clock, errors
from marketplace.foundation.clock import Instant
from marketplace.http import cursors, problems
from marketplace.wire import limits


def _meta(annotated: Any) -> msgspec.Meta:
    """Return the bounds of a type of `wire.limits`."""
    meta: msgspec.Meta = get_args(annotated)[1]
    return meta


_username = _meta(limits.Username)
_market = _meta(limits.MarketName)
_vm_id = _meta(limits.VmId)
_username_in_path = _meta(limits.UsernameInPath)
_page = _meta(limits.PageSize)
_cursor = _meta(limits.Cursor)


def _text(meta: msgspec.Meta) -> dict[str, Any]:
    return {
        "min_length": meta.min_length,
        "max_length": meta.max_length,
        "pattern": meta.pattern,
        "description": meta.description,
    }


MAX_NAME = 64

Market = Annotated[str, PathParameter(**_text(_market))]
Network = Market
OptionalNetwork = Annotated[str | None, QueryParameter(**_text(_market))]
VmId = Annotated[str, PathParameter(**_text(_vm_id))]
KeyId = Annotated[str, PathParameter(pattern="^[0-9a-f]{16}$(?!\\n)", description="the public part of a key")]
Id = Annotated[int, PathParameter(ge=1, le=limits.MAX_SEQ)]
Username = Annotated[str, QueryParameter(**_text(_username))]
UsernameInPath = Annotated[str, PathParameter(**_text(_username_in_path))]
Asset = Annotated[str, QueryParameter(**_text(_market))]
OptionalUsername = Annotated[str | None, QueryParameter(**_text(_username))]
PageSize = Annotated[int, QueryParameter(ge=1, le=_page.le, description=_page.description)]
AfterId = Annotated[str | None, QueryParameter(pattern=cursors.ID_PATTERN, description=_cursor.description)]
AfterPlace = Annotated[str | None, QueryParameter(pattern=cursors.PLACE_PATTERN, description=_cursor.description)]
AfterLine = Annotated[str | None, QueryParameter(pattern=cursors.LINE_PATTERN, description=_cursor.description)]
AfterOffset = Annotated[str | None, QueryParameter(pattern=cursors.OFFSET_PATTERN, description=_cursor.description)]
AfterName = Annotated[
    str | None,
    QueryParameter(
        pattern=cursors.NAME_PATTERN, min_length=2, max_length=2 * MAX_NAME, description=_cursor.description
    ),
]
Quantity = Annotated[int, QueryParameter(ge=0, le=limits.MAX_QUANTITY)]
PositiveQuantity = Annotated[int, QueryParameter(ge=1, le=limits.MAX_QUANTITY)]
Moment = Annotated[str | None, QueryParameter(format="date-time", description="RFC 3339, with a zone")]
"""Text until `instant` has read it: Litestar would take a bare number for a time."""

DEFAULT_PAGE = 100


def one_of(words: Any) -> dict[str, Any]:
    """Bound a parameter to the words of a Literal. It stays text: Litestar would take "null" for leaving it out."""
    choices = get_args(words)
    return {"enum": choices, "pattern": f"^({'|'.join(choices)})$"}


def instant(text: str | None, *, field: str) -> Instant | None:
    """Read a moment. Raises Invalid, which names the parameter."""
    if text is None:
        return None
    # A plus sign that was not escaped arrives as a blank.
    try:
        moment = msgspec.convert(text.replace(" ", "+"), limits.Moment, strict=True)
    except msgspec.ValidationError:
        raise problems.wrong(field, "expected a time such as 2026-01-31T12:00:00Z", part="query") from None
    return _exact(moment, field=field)


def expiry(moment: datetime | None, *, field: str) -> Instant | None:
    """Read a time of expiry. Raises Invalid where it is outside the years that can be shown in UTC."""
    if moment is None:
        return None
    found = clock.from_datetime(moment)
    try:
        clock.to_datetime(found)
    except OverflowError:
        raise errors.Invalid(f"The field {field} is outside the years 1 to 9999 in UTC.", field=field) from None
    return found


def _exact(moment: datetime, *, field: str) -> Instant:
    try:
        return clock.from_datetime(moment)
    except (ValueError, OverflowError):
        raise errors.Invalid(f"The parameter {field} needs a zone.", field=field) from None
