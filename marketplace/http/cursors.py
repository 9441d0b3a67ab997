"""Opaque positions in a list: where the page before ended. Callers hand them back and read nothing into them.

A cursor is written in hexadecimal of a fixed grammar, so that its pattern (in params) admits exactly what can be read:
whatever passes it is a position, and a wrong cursor is refused before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

ID_PATTERN = r"^[0-7][0-9a-f]{15}$"
PLACE_PATTERN = r"^[0-7][0-9a-f]{15}[0-7][0-9a-f]{7}$"
NAME_PATTERN = r"^(2d|2e|5f|3[0-9]|6[1-9a-f]|7[0-9a])+$"
TEXT_PATTERN = r"^((?!000000)00(?!d[89a-f])[0-9a-f]{4}|0[1-9a-f][0-9a-f]{4}|10[0-9a-f]{4})+$"
OFFSET_PATTERN = r"^[0-9a-f]{32}$"
LINE_PATTERN = r"^([0-7][0-9a-f]{15}){3}$"

Place = tuple[int, int]
"""A seq, and a position in what its command brought about."""

Line = tuple[int, int, int]
"""A row's id, and two amounts of either sign, less than 2**62."""

_MIDDLE = 2**62


def of_id(number: int) -> str:
    """Write an id, 0 to 2**63 - 1."""
    return f"{number:016x}"


def of_place(place: Place) -> str:
    """Write a place; its position is less than 2**31."""
    return f"{place[0]:016x}{place[1]:08x}"


def of_name(name: str) -> str:
    """Write a name made of `a-z0-9_.-`."""
    return name.encode("ascii").hex()


def of_text(text: str) -> str:
    """Write a text of any characters but NUL, six digits each."""
    return "".join(f"{ord(character):06x}" for character in text)


def of_offset(offset: int) -> str:
    """Write an offset, 0 to 2**128 - 1."""
    return f"{offset:032x}"


def of_line(line: Line) -> str:
    """Write the place of a line in a list that goes on with what the amounts were there."""
    number, *amounts = line
    return of_id(number) + "".join(of_id(amount + _MIDDLE) for amount in amounts)


def to_id(cursor: str | None) -> int | None:
    return None if cursor is None else int(cursor, 16)


def to_place(cursor: str | None) -> Place | None:
    return None if cursor is None else (int(cursor[:16], 16), int(cursor[16:], 16))


def to_line(cursor: str | None) -> Line | None:
    if cursor is None:
        return None
    number, one, other = (int(cursor[start : start + 16], 16) for start in (0, 16, 32))
    return number, one - _MIDDLE, other - _MIDDLE


def to_name(cursor: str | None) -> str | None:
    return None if cursor is None else bytes.fromhex(cursor).decode("ascii")


def to_text(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    return "".join(chr(int(cursor[start : start + 6], 16)) for start in range(0, len(cursor), 6))


def to_offset(cursor: str | None) -> int | None:
    return to_id(cursor)


def next_after(items: Sequence[Item], limit: int, cursor: Callable[[Item], str]) -> str | None:
    """Return the cursor after a page, or None where a short page shows that nothing follows."""
    return cursor(items[-1]) if len(items) == limit else None
