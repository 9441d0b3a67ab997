"""API keys, pure: how they are made, read, hashed and checked, and which one may make which.

A key is `mk_<id>_<secret>`: a public id of 16 hexadecimal digits, by which its row is found and which lists and logs
may show, and a secret of 64, which nobody sees a second time.

The secret is 32 random bytes, and stored as its SHA-256. A slow hash (Argon2, bcrypt) makes it dear to try the
passwords that people think of; of 2^256 random secrets none is found by trying, however quick the hash. A slow one
would cost each request milliseconds, and gain nothing.

    mk_0123456789abcdef_ + 64 digits  ->  the row 0123456789abcdef has the SHA-256 of the 64 digits

Who signs in by a key on a page is told by a session from then on: an id of 64 digits, drawn and stored as a secret is.

A key makes and revokes keys of its own member that may do no more and last no longer than itself. So one that is stolen
cannot make itself last, and one that only reads cannot take the trading key away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from marketplace.identity import errors
from marketplace.identity.model import Grant, Limit

PATTERN = r"mk_([0-9a-f]{16})_([0-9a-f]{64})"

_match = re.compile(PATTERN, re.ASCII).fullmatch
_match_session = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


class NewKey(NamedTuple):
    """A key as its owner gets it, and what is kept of it."""

    key_id: str
    secret_hash: str
    token: str


def make() -> NewKey:
    """Draw a key that nobody else has."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    return NewKey(key_id, hash_secret(secret), f"mk_{key_id}_{secret}")


def parse(token: str) -> tuple[str, str] | None:
    """Return a key's id and secret, None for what is no key."""
    found = _match(token)
    return (found[1], found[2]) if found else None


def make_session_id() -> str:
    """Draw the id of a session, which is as secret as a key."""
    return secrets.token_hex(32)


def is_session_id(text: str) -> bool:
    """Tell whether a text may be the id of a session."""
    return _match_session(text) is not None


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verify(secret: str, secret_hash: str) -> bool:
    """Tell whether a secret is the one of which this is stored; how long it takes says nothing of either."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)


def exceeds(grant: Grant, limit: Limit) -> errors.BeyondOwn | None:
    """Return why a key with this grant is not for the one with this limit to make or revoke, None where it is."""
    more = [scope for scope in grant.scopes if scope not in limit.scopes]
    if more:
        return errors.BeyondOwn(f"Your key has no scope {' or '.join(more)}")
    if limit.expires_at is not None and (grant.expires_at is None or grant.expires_at > limit.expires_at):
        return errors.BeyondOwn("Your key expires before that one would")
    return None
