"""How things are written on a page. Whatever comes from somebody is shown as text, and as nothing else.

Jinja escapes what HTML reads. What is left are characters that change how the rest is shown: marks that turn the
direction of writing, joiners, controls. They are shown by their number instead, as U+202E, in all that a template
prints; where the exact text is needed (the value of a field) a template says `exact`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from marketplace.foundation import clock, money

MAX_SHOWN = 200
"""Characters of one text that a page shows; nobody reads a megabyte in a cell."""

MAX_LINE = 400
"""The same of a line of a log."""

_INVISIBLE = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))
_SPACES = "\n\t"


def printed(value: Any) -> Any:
    """Return what a template prints of a value: its `finalize`."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return "" if value is None else value


def shown(text: str) -> str:
    """Make every character of a text visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) in _INVISIBLE and character not in _SPACES:
        return f"[U+{ord(character):04X}]"
    return character


def exact(text: str | None) -> Markup:
    """Escape a text for HTML and change nothing else in it."""
    return escape(text or "")


def name(text: str | None) -> Markup:
    """Write a name of somebody's choosing: its own direction stays its own, and its length is bounded."""
    if text is None:
        return Markup("–")
    cut = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return Markup("<bdi>{}</bdi>").format(shown(cut))


def number(value: int | None) -> str:
    """Write a whole number, its thousands apart."""
    return "–" if value is None else f"{value:,}"


def credits_(units: int | None) -> str:
    """Write an amount of credits, given in millionths."""
    return "–" if units is None else money.format_amount(units, decimals=6)


def amount(units: int, decimals: int) -> str:
    """Write an amount of an asset, given in its smallest units."""
    return money.format_amount(units, decimals=decimals)


def seconds(micros: int) -> str:
    """Write a length of time."""
    return f"{micros / clock.SECOND:g} s"


def moment(at: int | datetime | None) -> Markup:
    """Write an instant; pages say UTC."""
    if at is None:
        return Markup("–")
    when = clock.to_datetime(at) if isinstance(at, int) else at.astimezone(UTC)
    full = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = when.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}">{}</time>').format(full, text)


def time_of_day(at: int | datetime) -> Markup:
    """Write an instant of today."""
    when = clock.to_datetime(at) if isinstance(at, int) else at.astimezone(UTC)
    full = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(full, full, when.strftime("%H:%M:%S"))


def exact_credits(units: int) -> str:
    """Write an amount of credits with all its decimals, for a number that goes on by itself."""
    return f"{units // 1_000_000:,}.{units % 1_000_000:06d}"


def cpu(millis: int) -> str:
    """Write thousandths of a vCPU as vCPUs."""
    return f"{millis / 1000:,.3f}".rstrip("0").rstrip(".")


def memory(mib: int) -> str:
    """Write MiB."""
    return f"{mib:,} MiB" if mib % 1024 else f"{mib // 1024:,} GiB"


def line(text: str) -> str:
    """Write a line of a log, cut where nobody would read on."""
    return shown(text) if len(text) <= MAX_LINE else f"{shown(text[:MAX_LINE])}… ({len(text):,} characters)"


def day(at: int) -> str:
    """Write the day of an instant."""
    return clock.to_datetime(at).strftime("%Y-%m-%d")


def hour(at: int) -> str:
    """Write the hour of a day that begins at an instant."""
    return clock.to_datetime(at).strftime("%H")


def share(part: float, whole: float) -> str:
    """Return how much of a whole a part is, in percent for the width of a bar."""
    return f"{min(100.0, 100.0 * part / whole):.1f}%" if whole > 0 else "0%"


def points(values: dict[str, Sequence[Any]]) -> Markup:
    """Write numbers for a chart, as the value of an attribute."""
    return escape(json.dumps(values, separators=(",", ":")))


FILTERS = {
    "exact": exact,
    "name": name,
    "number": number,
    "cpu": cpu,
    "credits": credits_,
    "day": day,
    "exact_credits": exact_credits,
    "hour": hour,
    "line": line,
    "memory": memory,
    "amount": amount,
    "seconds": seconds,
    "moment": moment,
    "time_of_day": time_of_day,
    "points": points,
}
