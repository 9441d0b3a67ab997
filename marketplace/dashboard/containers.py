"""Containers as forms say them, in words for people: vCPU and not thousandths, a command as one line, a price and its
unit. What comes out are the structs of the API, with its bounds.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, TypeVar

from marketplace.dashboard.forms import Form
from marketplace.foundation import errors
from marketplace.wire import spot as wire

Bid = TypeVar("Bid", bound=wire.BidDraft)

_VCPU = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?", re.ASCII)


def read_bid(form: Form, kind: type[Bid], *, pool: str) -> Bid:
    """Return what a form bids for. Raises Invalid."""
    more: dict[str, Any] = {"pool": pool, "cpu_millis": cpu_millis(form), **price(form)}
    more["command"] = _words(form.text("command") or "")
    more["environment"] = _variables(form.text("environment") or "")
    return form.as_(kind, **more)


def cpu_millis(form: Form) -> int:
    """Read vCPUs, with at most 3 decimals, as thousandths. Raises Invalid."""
    found = _VCPU.fullmatch(form.text("cpu") or "")
    if found is None:
        raise errors.Invalid("The field cpu is a number of vCPUs, such as 2 or 0.25.", field="cpu")
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))


def price(form: Form) -> dict[str, str]:
    """Return a max price by the hour or by the minute, as the API calls it; nothing where none is said."""
    said, by = form.text("max_price"), "minute" if form.text("per") == "minute" else "hour"
    return {} if said is None else {f"max_price_per_{by}": said}


def _words(line: str) -> list[str]:
    """Divide a command as a shell would, of whose other doings nothing is done. Raises Invalid."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise errors.Invalid(f"The command cannot be divided into words: {error}.", field="command") from None


def _variables(text: str) -> dict[str, str]:
    """Read NAME=value, one a line. Raises Invalid."""
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if any("=" not in line for line in lines):
        raise errors.Invalid("Variables are lines such as NAME=value.", field="environment")
    return {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}
