"""Names that are made up, not counted."""

from __future__ import annotations

import secrets


def new_token() -> str:
    """Return 32 hexadecimal digits that nobody else has."""
    return secrets.token_hex(16)
