"""RFC 9457 problem documents: how every error looks."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`code` is stable and listed in the docs; `detail` tells what to do; `field` names the part at fault."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    extra: dict[str, Any] | None = None
