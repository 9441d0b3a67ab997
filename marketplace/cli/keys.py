"""`keys` and `members`: who may call, and by which keys.

With an address or a key (as flags or variables) a server is asked. With neither, on the server's own machine, the
database is written directly: that is how the first admin gets a key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from marketplace.cli import stored, terminal
from marketplace.cli.connection import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE, Key, connect
from marketplace.cli.flags import DatabaseFlags, load_settings

if TYPE_CHECKING:
    from marketplace.client import Client
    from marketplace.http.resources import Resources
    from marketplace.wire import identity as wire

Scope = Literal["read", "trade", "supply", "solve", "admin"]
ServerUrl = Annotated[
    str | None,
    Parameter(env_var=URL_VARIABLE, help="The server to talk to; without it and a key, the database itself is used."),
]
FIRST_ADMIN = "admin"
ALL_BUT_ADMIN: tuple[Scope, ...] = ("read", "trade", "supply", "solve")


def create(
    username: str | None = None,
    *,
    admin: Annotated[bool, Parameter(negative="")] = False,
    scope: Sequence[Scope] = (),
    label: str | None = None,
    expires: datetime | None = None,
    url: ServerUrl = None,
    key: Key = None,
    database: DatabaseFlags | None = None,
) -> None:
    """Create an API key, and print it: this once, it is kept nowhere.

    Parameters
    ----------
    username
        Whose it is; a member is made of who is none yet. Left out: yours, or `admin` for an admin's.
    admin
        For everything, on behalf of anyone.
    scope
        What it is for; may be repeated. Left out: all but admin.
    label
        What it is for, in your own words.
    expires
        When it ends, as 2027-01-31 (UTC) or 2027-01-31T12:00:00+02:00. Left out: never.
    """
    scopes: tuple[Scope, ...] = ("admin",) if admin else tuple(scope) or ALL_BUT_ADMIN
    until = expires.replace(tzinfo=UTC) if expires and expires.tzinfo is None else expires
    if url or key:
        with connect(url or DEFAULT_URL, key) as client:
            token = _ask_for_key(client, username, scopes, label, until)
    else:
        owner = username or (FIRST_ADMIN if admin else None)
        if owner is None:
            raise terminal.Stop("Say whose key it will be: `marketplace keys create USERNAME`.", exit_code=2)
        _check_words(owner, label)
        token = _at_database(database, lambda service: _store_key(service, owner, scopes, label, until))
    terminal.output().print(token, soft_wrap=True)
    terminal.output(is_error=True).print(
        f"Keep it: it is not shown again. Send it as Authorization: Bearer …, or set {KEY_VARIABLE}.", soft_wrap=True
    )


def list_(
    username: str | None = None, *, url: ServerUrl = None, key: Key = None, database: DatabaseFlags | None = None
) -> None:
    """List keys, without their secrets, oldest first.

    Parameters
    ----------
    username
        Only this member's.
    """
    if url or key:
        with connect(url or DEFAULT_URL, key) as client:
            found: list[Any] = list(client.keys(username=username))
    else:
        found = asyncio.run(_read_keys(database, username))
    shown = terminal.table("key", "username", "label", "scopes", "state", "last used")
    for one in found:
        used = _day(one.last_used_at)
        terminal.add_row(shown, one.key_id, one.username, one.label, " ".join(one.scopes), _state(one), used)
    terminal.output().print(shown if found else "No keys.")


def revoke(key_id: str, *, url: ServerUrl = None, key: Key = None, database: DatabaseFlags | None = None) -> None:
    """Revoke a key: within a second no server takes it any more.

    Parameters
    ----------
    key_id
        The key's public part, as `keys list` shows it.
    """
    if url or key:
        with connect(url or DEFAULT_URL, key) as client:
            whose = client.revoke_key(key_id).username
    else:
        whose = _at_database(database, lambda service: _revoke_stored(service, key_id))
    terminal.output().print(f"Revoked: {key_id} of {whose}.", soft_wrap=True)


def whoami(*, url: ServerUrl = None, key: Key = None) -> None:
    """Tell whose key it is, and what it may do."""
    with connect(url or DEFAULT_URL, key) as client:
        me = client.me()
    whose = "nobody in particular: no keys are asked for" if me.username is None else me.username
    until = "" if me.expires_at is None else f", until {_day(me.expires_at)}"
    terminal.output().print(f"{whose} ({' '.join(me.scopes)}{until})", soft_wrap=True)


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def create_member(username: str, *, url: ServerUrl = None, key: Key = None) -> None:
    """Create a member, that may have keys.

    Parameters
    ----------
    username
        What it will be called everywhere.
    """
    with connect(url or DEFAULT_URL, key) as client:
        terminal.output().print(f"Created: {client.create_member(username).username}.", soft_wrap=True)


def list_members(*, url: ServerUrl = None, key: Key = None) -> None:
    """List the members, oldest first."""
    shown = terminal.table("username", "created at")
    with connect(url or DEFAULT_URL, key) as client:
        for one in client.members():
            terminal.add_row(shown, one.username, _day(one.created_at))
    terminal.output().print(shown if shown.row_count else "No members.")


# ── by HTTP ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ask_for_key(
    client: Client, username: str | None, scopes: tuple[Scope, ...], label: str | None, until: datetime | None
) -> str:
    """Ask a server for a key; an admin makes a member of who is none yet."""
    from marketplace.client import NotFound

    def ask() -> wire.MadeKey:
        return client.create_key(scopes, username=username, label=label, expires_at=until)

    try:
        made = ask()
    except NotFound:
        client.create_member(str(username))
        made = ask()
    if made.key is None:
        raise terminal.Stop(f"The answer was lost on its way, and the key with it: revoke {made.key_id} and try again.")
    return made.key


# ── at the database itself ───────────────────────────────────────────────────────────────────────────────────────────


def _at_database(flags: DatabaseFlags | None, work: Callable[[Resources], Awaitable[str]]) -> str:
    """Run commands of the lane in this process, as a server would."""
    settings = load_settings(flags)
    from marketplace import worker
    from marketplace.database import locking
    from marketplace.foundation import errors
    from marketplace.foundation.settings import SettingsError

    async def run() -> str:
        service = worker.resources(settings)
        async with worker.running(service):
            return await work(service)

    with stored.failures_as_sentences(settings):
        try:
            return asyncio.run(run())
        except SettingsError as error:
            raise terminal.Stop(str(error)) from None
        except locking.AlreadyServed as error:
            raise terminal.Stop(f"{error} Or ask the server itself: give --url, and the --key of an admin.") from None
        except (errors.NotFound, errors.Conflict) as refusal:
            raise terminal.Stop(f"Refused: {refusal.detail} [{refusal.code}]") from None


def _check_words(username: str, label: str | None) -> None:
    """Hold a username and a label against the bounds that a server has for them."""
    import msgspec

    from marketplace.wire import identity

    try:
        msgspec.convert({"scopes": ["read"], "username": username, "label": label}, identity.NewKey)
    except msgspec.ValidationError as error:
        raise terminal.Stop(f"A username or a label cannot be so: {error}.", exit_code=2) from None


async def _store_key(
    service: Resources, owner: str, scopes: tuple[Scope, ...], label: str | None, until: datetime | None
) -> str:
    from marketplace import identity
    from marketplace.database import money
    from marketplace.foundation import clock

    lane, drawn = service.lanes[money.LANE], identity.make_key()
    with contextlib.suppress(identity.errors.MemberExists):
        await lane.run(identity.CreateMember(owner))
    expires_at = None if until is None else clock.from_datetime(until)
    await lane.run(identity.CreateKey(drawn.key_id, drawn.secret_hash, owner, scopes, label, expires_at))
    return drawn.token


async def _revoke_stored(service: Resources, key_id: str) -> str:
    from marketplace import identity
    from marketplace.database import money

    revoked: identity.Key = await service.lanes[money.LANE].run(identity.RevokeKey(key_id))
    return revoked.username


async def _read_keys(flags: DatabaseFlags | None, username: str | None) -> list[Any]:
    from marketplace import identity

    async with stored.opened(load_settings(flags)) as database:
        await stored.require_schema(database)
        return await database.read_one(identity.list_keys, username=username, after=None, limit=10_000)


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _state(one: Any) -> str:
    if one.revoked_at is not None:
        return f"revoked {_day(one.revoked_at)}"
    return "good" if one.expires_at is None else f"until {_day(one.expires_at)}"


def _day(moment: datetime | int | None) -> str | None:
    """Write a moment; straight from the database it is an instant."""
    if isinstance(moment, int):
        from marketplace.foundation import clock

        moment = clock.to_datetime(moment)
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
