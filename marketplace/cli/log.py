"""`log`: what happened in a lane, in order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.client import Client
    from marketplace.wire import events

POLL_SECONDS = 0.5


def log(
    *,
    lane: str = "hours",
    after: int = 0,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    limit: Annotated[int | None, Parameter(name=["--limit", "-n"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print what happened, one line an event, oldest first.

    Parameters
    ----------
    lane
        The lane whose log it is.
    after
        Only what has a higher seq.
    follow
        Go on as things happen, until interrupted.
    limit
        How many at most; all of them where it is left out.
    json
        One JSON document a line, for other programs.
    """
    console = terminal.output()
    with connect(url, key) as client:
        found = _follow(client, lane, after=after) if follow else client.events(lane, after=after)
        _print(console, itertools.islice(found, limit), as_json=json)


def _follow(client: Client, lane: str, *, after: int) -> Iterator[events.Event]:
    while True:
        for event in client.events(lane, after=after):
            after = event.seq
            yield event
        time.sleep(POLL_SECONDS)


def _print(console: Console, found: Iterable[events.Event], *, as_json: bool) -> None:
    import msgspec

    for event in found:
        if as_json:
            console.out(msgspec.json.encode(event).decode(), highlight=False)
        else:
            console.print(_line(event), soft_wrap=True)


def _line(event: events.Event) -> Text:
    """Return the event on one line; what stands elsewhere on it, or is null, is left out of its data."""
    told = {"type", "market"} | {name for name, value in event.data.items() if value is None}
    return Text.assemble(
        (f"{event.seq:>8} ", "bold"),
        (f"{event.at:%Y-%m-%d %H:%M:%S.%f} ", "dim"),
        (f"{event.kind:<16} ", "cyan"),
        f"{event.subject}  ",
        ("  ".join(f"{name} {_text(value)}" for name, value in event.data.items() if name not in told), "dim"),
    )


def _text(value: object) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
