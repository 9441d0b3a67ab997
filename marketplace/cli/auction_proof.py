"""`auction verify`: who reads a book's log computes every decision again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.auctions import Line
    from marketplace.wire.auctions import Entry

MOST_SHOWN = 20


def verify(
    file: Path | None = None,
    /,
    *,
    book: Annotated[str, Parameter(name=["--book", "-b"], help="The book of orders.")] = "default",
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> int:
    """Compute the decisions of a book again, from its log alone; exit code 1 if one is not what follows from it.

    Who won and why, who took over, what was returned, who was blocked and for how long: nothing is asked but the log.

    Parameters
    ----------
    file
        A log that was saved with `marketplace auction log --json`, or - for standard input; left out, the server's.
    """
    if file is None:
        with connect(url, key) as client:
            return _conclude(book, client.auction_log(book))
    if str(file) == "-":
        return _conclude(book, _read(sys.stdin))
    try:
        with file.open(encoding="utf-8") as lines:
            return _conclude(book, _read(lines))
    except OSError as error:
        raise terminal.Stop(f"{file} cannot be read: {error.strerror}.", exit_code=2) from None


def _read(lines: Iterable[str]) -> Iterator[Entry]:
    import msgspec

    from marketplace.wire.auctions import Entry

    for number, text in enumerate(lines, 1):
        try:
            yield msgspec.json.decode(text, type=Entry)
        except msgspec.DecodeError as error:
            raise terminal.Stop(f"Line {number} is no entry of a log: {error}.", exit_code=2) from None


def _conclude(book: str, entries: Iterable[Entry]) -> int:
    from marketplace import auctions

    replay, faults = auctions.verify(book, map(_line, entries))
    console = terminal.output()
    for fault in faults[:MOST_SHOWN]:
        console.print(fault, style="red", soft_wrap=True)
    told = f"{replay.entries} entries, {len(replay.rounds)} orders, {len(replay.promises)} commitments"
    console.print(
        f"{len(faults)} faults found ({told})." if faults else f"Every decision follows from the log ({told})."
    )
    return 1 if faults else 0


def _line(entry: Entry) -> Line:
    import msgspec

    from marketplace.auctions import Line
    from marketplace.foundation import clock

    return Line(entry.offset, entry.seq, clock.from_datetime(entry.at), entry.kind, msgspec.json.encode(entry.data))
