"""Quantities as people write them: `0.5` or `500m` of cpu, `4g` or `512m` of memory, `90s`, `10m`, `2h` or `1d`."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from marketplace.cli.terminal import Stop

_CPU = re.compile(r"([0-9]{1,6})m|([0-9]{1,6}(?:\.[0-9]{1,3})?)")
_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([mgt])(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_MIB = {"m": 1, "g": 1024, "t": 1024 * 1024}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def cpu_millis(text: str) -> int:
    """Return thousandths of a vCPU."""
    match = _CPU.fullmatch(text)
    if match is None:
        raise Stop(f"{text} is no amount of cpu: write 2, 0.5 or 500m.", exit_code=2)
    return int(match[1]) if match[1] else int(Decimal(match[2]) * 1000)


def memory_mib(text: str) -> int:
    """Return MiB, a fraction of one rounded up."""
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise Stop(f"{text} is no amount of memory: write 512m or 4g.", exit_code=2)
    return math.ceil(Decimal(match[1]) * _MIB[match[2].lower()])


def seconds(text: str) -> int:
    """Return seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Stop(f"{text} is no duration: write 90s, 10m, 2h or 1d.", exit_code=2)
    return int(match[1]) * _SECONDS[match[2]]


def written_cpu(millis: int) -> str:
    return f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m"


def written_memory(mib: int) -> str:
    return f"{mib // 1024}g" if mib % 1024 == 0 and mib else f"{mib}m"
