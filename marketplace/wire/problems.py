"""RFC 9457 problem documents: how every error looks."""

from __future__ import annotations

from msgspec import Struct

MEDIA_TYPE = "application/problem+json"


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`code` is stable and listed in the docs; `detail` tells what to do; `field` names the part at fault.

    A refusal may say more in further members, beside these.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
