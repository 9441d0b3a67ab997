"""A list that is cut says so, and asks for no more than it shows and one row."""

from __future__ import annotations

import pytest
from msgspec import Struct

from marketplace.cli import terminal


class Row(Struct):
    number: int


@pytest.mark.parametrize(
    ("limit", "there", "shown", "size", "says"),
    [
        (2, 3, 2, 3, True),
        (3, 3, 3, 4, False),
        (5, 3, 3, 6, False),
        (0, 1, 0, 1, True),
        (-4, 1, 0, 1, True),
        (5_000, 5_001, 5_000, 1_000, True),
        (1, 0, 0, 2, False),
    ],
)
def test_a_list_is_cut_at_its_limit_and_says_so(
    capsys: pytest.CaptureFixture[str], limit: int, there: int, shown: int, size: int, says: bool
) -> None:
    sizes: list[int] = []
    told: list[list[Row]] = []

    def listing(size: int) -> list[Row]:
        sizes.append(size)
        return [Row(number) for number in range(there)]

    terminal.print_first(limit, listing, told.append)
    assert (told, sizes) == ([[Row(number) for number in range(shown)]], [size])
    assert capsys.readouterr().err == ("There are more: raise --limit.\n" if says else "")


def test_a_list_for_programs_has_only_its_rows_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_first(2, lambda _size: map(Row, range(3)), lambda _rows: None, as_json=True)
    captured = capsys.readouterr()
    assert captured.out == '{"number":0}\n{"number":1}\n'
    assert captured.err == "There are more: raise --limit.\n"
