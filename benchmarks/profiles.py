"""Where the time goes: profiles of a server under the mix and of the lane alone, for `--profile`."""

from __future__ import annotations

import pstats
from pathlib import Path

from benchmarks import bare, mix
from benchmarks.stage import Stage

LINES = 35


def show(place: Stage, *, seconds: float) -> None:
    """Print what takes the most time; the profiler makes everything slower, small functions most of all."""
    server_file, lane_file = place.folder / "server.profile", place.folder / "lane.profile"
    with place.database() as url:
        with place.server(url, profile=server_file) as server:
            mix.over_http([server], place, seconds, connections=128)
        _print("the server under the mix, 128 connections", server_file)
        bare.profile_lane(url, seconds, lane_file)
        _print("the lane alone", lane_file)


def _print(what: str, file: Path) -> None:
    print(f"\n── where the time goes: {what} ──")
    pstats.Stats(str(file)).strip_dirs().sort_stats("tottime").print_stats(LINES)
