"""`webhooks`: have what happens sent to a URL, and see what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.wire import webhooks

Json = Annotated[bool, Parameter(negative="", help="A JSON document, for other programs.")]
Lane = Annotated[Literal["hours", "addresses", "money"], Parameter(help="The lane whose log it is.")]


def add(
    target: str,
    *,
    username: str | None = None,
    topic: tuple[str, ...] = (),
    kind: tuple[str, ...] = (),
    all_members: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Send what happens to a URL from now on, and print the secret that verifies it, this once.

    Parameters
    ----------
    target
        Where to send it: https, to an address that everybody can reach.
    username
        Whose it is: only what this member may see is sent.
    topic
        Only what is of this module; may be repeated.
    kind
        Only what is of this kind; may be repeated.
    all_members
        Everything, whosever it is; for administrators.
    """
    with connect(url, key) as client:
        made = client.create_webhook(target, username=username, topics=topic, kinds=kind, all_members=all_members)
    if json:
        terminal.print_json(made)
    else:
        terminal.output().print(f"Webhook {made.webhook.webhook_id} sends to {made.webhook.url}.", soft_wrap=True)
        _print_secret(made.webhook.webhook_id, made.secret)


def list_(*, username: str | None = None, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List webhooks.

    Parameters
    ----------
    username
        Only those of this member.
    """
    with connect(url, key) as client:
        found = list(client.webhooks(username))
    if json:
        terminal.print_json(*found)
        return
    shown = terminal.table("id", "member", "url", "topics", "kinds", "state", "reason", right=("id",))
    for one in found:
        wanted = (", ".join(one.topics) or "all", ", ".join(one.kinds) or "all")
        terminal.add_row(shown, one.webhook_id, one.username, one.url, *wanted, one.state, one.reason)
    terminal.output().print(shown if found else "No webhooks.")


def enable(webhook_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Send what happens from now on to it again.

    Parameters
    ----------
    webhook_id
        The webhook.
    """
    _change(webhook_id, "enabled", url=url, key=key)


def disable(webhook_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Send nothing more to it; what is on its way is dropped.

    Parameters
    ----------
    webhook_id
        The webhook.
    """
    _change(webhook_id, "disabled", url=url, key=key)


def remove(webhook_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Delete a webhook.

    Parameters
    ----------
    webhook_id
        The webhook.
    """
    with connect(url, key) as client:
        client.delete_webhook(webhook_id)
    terminal.output().print(f"Webhook {webhook_id} is gone.")


def rotate(webhook_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Give it a new secret, and print it, this once; the one before signs as well for a day.

    Parameters
    ----------
    webhook_id
        The webhook.
    """
    with connect(url, key) as client:
        made = client.rotate_webhook(webhook_id)
    _print_secret(webhook_id, made.secret)


def try_(webhook_id: int, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Send it a message of its own.

    Parameters
    ----------
    webhook_id
        The webhook.
    """
    with connect(url, key) as client:
        made = client.try_webhook(webhook_id)
    terminal.output().print(
        f"{made.message_id} is on its way; see `marketplace webhooks log {webhook_id} --lane money`."
    )


def log(
    webhook_id: int,
    *,
    lane: Lane = "hours",
    state: Literal["pending", "delivered", "failed", "dropped"] | None = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 20,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print what was sent to it, the newest first, with every attempt.

    Parameters
    ----------
    webhook_id
        The webhook.
    state
        Only deliveries in this state.
    limit
        How many at most.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit,
            lambda size: client.webhook_deliveries(webhook_id, lane, state=state, page_size=size),
            _print_deliveries,
            as_json=json,
        )


def _print_deliveries(rows: list[webhooks.Delivery]) -> None:
    shown = terminal.table("message", "state", "attempts", "last", "next", right=("attempts",))
    for one in rows:
        terminal.add_row(shown, one.message_id, one.state, len(one.attempts), _last(one), _moment(one.next_attempt_at))
    terminal.output().print(shown if rows else "Nothing was sent.")


def replay(
    webhook_id: int, from_seq: int, to_seq: int, *, lane: Lane = "hours", url: Url = DEFAULT_URL, key: Key = None
) -> None:
    """Send entries of a log again, from one seq to another.

    Parameters
    ----------
    webhook_id
        The webhook.
    from_seq
        The first.
    to_seq
        The last.
    """
    with connect(url, key) as client:
        found = client.replay_events(webhook_id, lane, from_seq=from_seq, to_seq=to_seq)
    terminal.output().print(f"On their way: {found.deliveries}.")


def _print_secret(webhook_id: int, secret: str | None) -> None:
    """Print a new secret. Raises Stop where only a copy of the request was answered, which is told no secret."""
    if secret is None:
        raise terminal.Stop(
            "The answer was lost on its way, and the secret with it: "
            f"`marketplace webhooks rotate {webhook_id}` makes another one."
        )
    terminal.output().print(f"Its secret, shown this once: {secret}", soft_wrap=True)


def _change(webhook_id: int, state: webhooks.WebhookState, *, url: str, key: str | None) -> None:
    with connect(url, key) as client:
        client.change_webhook(webhook_id, state=state)
    terminal.output().print(f"Webhook {webhook_id} is {state}.")


def _last(one: webhooks.Delivery) -> str | None:
    if not one.attempts:
        return None
    attempt = one.attempts[-1]
    return f"{_moment(attempt.at)}: {attempt.status or attempt.error}"


def _moment(at: object) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
