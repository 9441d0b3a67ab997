"""Quantities as people write them."""

from __future__ import annotations

import pytest

from marketplace.cli import quantities
from marketplace.cli.terminal import Stop


@pytest.mark.parametrize(("text", "millis"), [("2", 2000), ("0.5", 500), ("500m", 500), ("1.005", 1005), ("0", 0)])
def test_cpu_is_thousandths(text: str, millis: int) -> None:
    assert quantities.cpu_millis(text) == millis


@pytest.mark.parametrize(
    ("text", "mib"), [("512m", 512), ("4g", 4096), ("4GiB", 4096), ("0.5g", 512), ("1T", 1_048_576), ("1.001g", 1026)]
)
def test_memory_is_mib_rounded_up(text: str, mib: int) -> None:
    assert quantities.memory_mib(text) == mib


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400)])
def test_durations_are_seconds(text: str, seconds: int) -> None:
    assert quantities.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "1,5", "1e3", "٣", "1 h", "2\n", "1w", "9999999999"])
def test_what_is_no_quantity_ends_the_command(text: str) -> None:
    for read in (quantities.cpu_millis, quantities.memory_mib, quantities.seconds):
        with pytest.raises(Stop) as caught:
            read(text)
        assert caught.value.exit_code == 2


def test_what_is_written_reads_the_same() -> None:
    for millis in (0, 10, 500, 1000, 1500, 64_000):
        assert quantities.cpu_millis(quantities.written_cpu(millis)) == millis
    for mib in (0, 16, 512, 1024, 1025, 16_384):
        assert quantities.memory_mib(quantities.written_memory(mib)) == mib
