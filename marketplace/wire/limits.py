"""Bounds and shapes that more than one module's requests use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

MAX_QUANTITY = 1_000_000_000
"""The most that a volume or a price may be, so that a product of two fits 63 bits."""

MAX_SEQ = 2**63 - 1

# `(?!\n)`: in Python `$` also matches before a final newline.
TRIMMED = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$(?!\n)"

Username = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=TRIMMED,
        description="1 to 128 characters, no control characters, no blank at either end; case matters",
    ),
]

MarketName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9_.-]*$(?!\n)",
        description="1 to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or a digit",
    ),
]

NetworkName = MarketName

# "." and ".." would not survive in a path; the words are what the paths under /api/v1/ip use themselves.
_NO_VM_ID = r"\.|\.\.|stats|allocations|allocate|release|release-by-ip|reconcile|allocate:batch|release:batch"

VmId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=rf"^(?!(?:{_NO_VM_ID})$)[A-Za-z0-9._:@-]+$(?!\n)",
        description="1 to 128 letters, digits and . _ : @ -, and none of the words that the paths use",
    ),
]

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

Hostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{_LABEL}(?:\.{_LABEL})*$(?!\n)",
        description="a DNS name: labels of 1 to 63 letters, digits and inner dashes, joined by dots",
    ),
]

AssetName = MarketName

# Not one of those two that clients take out of a path.
UsernameInPath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=rf"^(?!\.\.?$){TRIMMED[1:]}",
        description="a username, percent-encoded with its slashes; . and .. cannot stand in a path",
    ),
]

Amount = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=29,
        pattern=r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?$(?!\n)",
        description="a decimal number as text, such as 12 or 3.50, with at most as many decimals as the asset has",
    ),
]

Reason = Annotated[str, Meta(min_length=1, max_length=64, pattern=TRIMMED, description="what for, in a few words")]

Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9._:@-]+$(?!\n)",
        description="1 to 128 letters, digits and . _ : @ -",
    ),
]

Volume = Annotated[int, Meta(ge=0, le=MAX_QUANTITY, description="VM-hours")]
PositiveVolume = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, description="VM-hours")]
Price = Annotated[int, Meta(ge=0, le=MAX_QUANTITY, description="credits per VM-hour")]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with a zone")]
Seq = Annotated[int, Meta(ge=1, le=MAX_SEQ)]
PageSize = Annotated[int, Meta(ge=1, le=1000, description="how many rows at most")]
Cursor = Annotated[str, Meta(min_length=1, max_length=512, description="`next` of the page before; opaque")]
