"""Signatures of webhooks, as Standard Webhooks has them (version 1, symmetric).

    signed content   "{webhook-id}.{webhook-timestamp}.{body}"
    signature        base64(HMAC-SHA256(key, signed content)), written `v1,…`; several are separated by blanks
    secret           "whsec_" + base64(key)

While a secret is being replaced, both the new one and the old one sign, so that a receiver may change over at any time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def sign(keys: Iterable[str], *, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`, one signature a secret."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp_seconds, body)
    return " ".join(f"v1,{_signature(key, content)}" for key in keys)


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
