from __future__ import annotations

import io

from rich.console import Console

from marketplace.cli import ladder
from marketplace.wire import hours

Level = hours.Level


def drawn(book: hours.Book, *, bar: str = "█") -> list[str]:
    file = io.StringIO()
    Console(file=file, width=100, markup=False, highlight=False).print(ladder.draw(book, bar=bar))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_supplies_stand_above_bids_and_the_best_of_each_next_to_the_middle() -> None:
    book = hours.Book(
        "default",
        9,
        bids=[Level(4, 1, 50, 50), Level(3, 2, 100, 150), Level(2, 1, 1, 151)],
        supplies=[Level(6, 1, 10, 10), Level(8, 3, 300, 310)],
    )
    assert drawn(book) == [
        "Market default, as of seq 9",
        "          price  volume  cumulative  offers  size",
        "supply        8     300         310       3  ██████████████████████████████",
        "supply        6      10          10       1  █",
        "spread 2",
        "bid           4      50          50       1  █████",
        "bid           3     100         150       2  ██████████",
        "bid           2       1         151       1  █",
    ]


def test_a_side_may_be_empty() -> None:
    assert "no bids" in drawn(hours.Book("m", 1, bids=[], supplies=[Level(0, 1, 5, 5)]))
    assert "no supply" in drawn(hours.Book("m", 1, bids=[Level(0, 1, 5, 5)], supplies=[]))


def test_an_empty_book_says_so() -> None:
    assert drawn(hours.Book("m", 0, bids=[], supplies=[])) == ["Market m, as of seq 0", "The book is empty."]


def test_bars_can_do_without_unicode() -> None:
    assert drawn(hours.Book("m", 1, bids=[Level(0, 1, 5, 5)], supplies=[]), bar="#")[-1].endswith("#" * 30)
