"""Pictures of the pages for the README: `python -m tests.dashboard.pictures DIR`.

It starts an embedded server of its own on a temporary file, lets its markets come alive, and writes a PNG of each page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.dashboard import lively
from tests.dashboard.screen import Screen
from tests.services import chromium
from tests.services.server import Server

SIZE = (1600, 880)
MOST_BYTES = 250 * 1024
PAGES = {
    "hours": "/dashboard/hours",
    "spot": "/dashboard/spot",
    "auctions": "/dashboard/auctions",
}
"""What is pictured, by the name of its file."""


def main(folder: Path) -> int:
    """Write the pictures; exit code 1 where one is too large for a README."""
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:///{Path(place) / 'market.db'}"
        lively.make_history(url)
        server = Server(Path(place), url, "--no-access-log")
        server.start()
        try:
            lively.fill_with_life(server.url)
            return take(server.url, folder)
        finally:
            server.stop()


def take(url: str, folder: Path) -> int:
    """Picture each page of a server once it is live."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {}
    with chromium.running() as browser:
        context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        screen = Screen(context, url, folder)
        screen.act_as("ann")
        for name, path in PAGES.items():
            page = screen.open(path)
            file = folder / f"{name}.png"
            page.screenshot(path=file)
            sizes[name] = file.stat().st_size
            page.close()
    for name, size in sizes.items():
        print(f"{folder / name}.png  {size / 1024:.0f} KiB")
    return int(max(sizes.values()) > MOST_BYTES or bool(screen.complaints))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
