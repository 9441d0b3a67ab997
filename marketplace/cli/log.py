"""`log`: what happened in a lane, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Url, connect

if TYPE_CHECKING:
    from marketplace.wire import events


def log(
    *,
    lane: str = "hours",
    after: int = 0,
    topic: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    limit: Annotated[int | None, Parameter(name=["--limit", "-n"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print what happened, one line an event, oldest first.

    Parameters
    ----------
    lane
        The lane whose log it is.
    after
        Only what has a higher seq.
    topic
        Only of this module, or of these, joined by commas.
    kind
        Only of this kind, or of these, joined by commas.
    subject
        Only what happened to it, or to what is below it: default, default/17.
    follow
        Go on as things happen, until interrupted.
    limit
        How many at most; all of them where it is left out.
    json
        One JSON document a line, for other programs.
    """
    console = terminal.output()
    with connect(url) as client:
        read = client.follow_events if follow else client.events
        found = read(lane, after=after, topic=topic, kind=kind, subject=subject)
        _print(console, itertools.islice(found, limit), as_json=json)


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
