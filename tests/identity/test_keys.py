"""The rules of keys: what one looks like, how it is checked, and which one may make which."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity import Limit, keys
from marketplace.identity.model import SCOPES, CreateKey

SECRET = "0123456789abcdef" * 4
TOKEN = f"mk_fedcba9876543210_{SECRET}"


def grant(*scopes: str, expires_at: int | None = None) -> CreateKey:
    return CreateKey("k", "h", "ann", scopes, expires_at=expires_at)


def limit(*scopes: str, expires_at: int | None = None) -> Limit:
    return Limit("ann", frozenset(scopes), expires_at)


def test_a_key_has_an_id_of_64_bits_and_a_secret_of_256() -> None:
    made = [keys.make() for _ in range(100)]
    assert all(re.fullmatch(r"mk_[0-9a-f]{16}_[0-9a-f]{64}", one.token) for one in made)
    assert len({one.key_id for one in made}) == len({one.secret_hash for one in made}) == 100


def test_a_key_that_was_made_is_read_and_verified() -> None:
    made = keys.make()
    parsed = keys.parse(made.token)
    assert parsed
    assert parsed[0] == made.key_id
    assert keys.verify(parsed[1], made.secret_hash)
    assert not keys.verify(keys.make().token[-64:], made.secret_hash)


def test_what_is_stored_is_the_sha256_of_the_secret() -> None:
    assert keys.hash_secret(SECRET) == hashlib.sha256(SECRET.encode()).hexdigest()
    assert keys.verify(SECRET, keys.hash_secret(SECRET))


def test_a_key_is_read_in_two_parts() -> None:
    assert keys.parse(TOKEN) == ("fedcba9876543210", SECRET)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "mk__",
        TOKEN.upper(),
        TOKEN + "0",
        TOKEN[:-1],
        TOKEN + "\n",
        f" {TOKEN}",
        TOKEN.replace("mk_", "sk_"),
        TOKEN.replace("f", "g"),
        TOKEN.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
        TOKEN.replace("0", "\x00"),
        SECRET,
    ],
)
def test_what_only_looks_like_a_key_is_none(token: str) -> None:
    assert keys.parse(token) is None


@given(st.text())
def test_any_text_is_read_or_is_no_key(token: str) -> None:
    assert keys.parse(token) is None


@pytest.mark.parametrize(
    ("wanted", "own", "is_within"),
    [
        (grant("read"), limit("read"), True),
        (grant("read"), limit("read", "trade"), True),
        (grant("read", "trade"), limit("read"), False),
        (grant("admin"), limit("read", "solve", "supply", "trade"), False),
        (grant("trade", expires_at=9), limit("trade"), True),
        (grant("trade", expires_at=9), limit("trade", expires_at=9), True),
        (grant("trade", expires_at=10), limit("trade", expires_at=9), False),
        (grant("trade"), limit("trade", expires_at=9), False),
    ],
)
def test_a_key_makes_keys_that_do_no_more_and_last_no_longer(wanted: CreateKey, own: Limit, is_within: bool) -> None:
    assert (keys.exceeds(wanted, own) is None) is is_within


SETS = st.sets(st.sampled_from(SCOPES), min_size=1)
EXPIRIES = st.none() | st.integers(1, 5)


@given(st.lists(st.tuples(SETS, EXPIRIES), min_size=2, max_size=6))
def test_no_chain_of_keys_ends_in_more_than_it_began_with(chain: list[tuple[set[str], int | None]]) -> None:
    (first, ends), *others = chain
    scopes, expires_at = first, ends
    for wanted, until in others:
        if keys.exceeds(grant(*wanted, expires_at=until), limit(*scopes, expires_at=expires_at)) is None:
            scopes, expires_at = wanted, until
    assert scopes <= first
    assert ends is None or (expires_at is not None and expires_at <= ends)
