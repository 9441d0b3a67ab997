"""Amounts as people write them: decimal text outside, integers of the smallest unit inside. Never floats.

An asset with 6 decimals counts in millionths: "3.5" is 3_500_000 units, and 3_500_000 units are "3.50".
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")
SHOWN_DECIMALS = 2
"""Zeros behind the point that are written where the asset has as many decimals."""


def parse_amount(text: str, *, decimals: int) -> int:
    """Return how many units a text means, exactly. Raises ValueError, whose message is a clause for people."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("an amount is digits with at most one point, as 12 or 3.50")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > decimals:
        raise ValueError(f"at most {decimals} decimals are possible")
    return int(whole + fraction.ljust(decimals, "0"))


def format_amount(units: int, *, decimals: int) -> str:
    """Write units as decimal text, exactly and always the same way; may be negative."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    if decimals == 0:
        return f"{sign}{units}"
    digits = str(units).zfill(decimals + 1)
    fraction = digits[-decimals:].rstrip("0")
    if len(fraction) < SHOWN_DECIMALS:
        fraction = fraction.ljust(min(SHOWN_DECIMALS, decimals), "0")
    return f"{sign}{digits[:-decimals]}.{fraction}"
