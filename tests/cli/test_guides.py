"""The examples of the guides are run as they are written, against a real server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marketplace.cli import root

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guide"
URL = "http://127.0.0.1:8080"
LONG_RUNNING = (["serve"], ["work"], ["demo"], ["sequencer"], ["solver"])


def examples(guide: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (GUIDES / guide).read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_the_sdk_run(
    start_server: StartServer, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = start_server(sqlite_url).url
    blocks = examples("sdk.md", "python")
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block.replace(URL, url), "sdk.md", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "[100, 100, 50]"
    assert printed[1] == "30 70"


def test_the_examples_of_the_command_line_run(
    start_server: StartServer,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MARKETPLACE_URL", start_server(sqlite_url).url)
    monkeypatch.setenv("MARKETPLACE_DATABASE_URL", sqlite_url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "live.txt").write_text("vm-3\n", encoding="utf-8")
    lines = [line for block in examples("cli.md", "sh") for line in block.splitlines()]
    ran = 0
    for line in lines:
        words = shlex.split(re.split(r" && | > ", line)[0])
        if (
            words[0] == "marketplace"
            and words[1] not in ("serve", "work", "demo", "sequencer", "solver")
            and words[1:3] != ["db", "upgrade"]
        ):
            assert root.run(words[1:]) == 0, line
            ran += 1
        elif words[0] == "marketplace":
            assert root.run([*words[1:2], "--help"]) == 0
    assert ran >= 15
    assert "books balance" in capsys.readouterr().out.lower()


def test_the_guide_names_every_command() -> None:
    text = (GUIDES / "cli.md").read_text(encoding="utf-8")
    app = root.make_app()
    groups = ("auction", "db", "demo", "ip", "keys", "members", "spot", "wallet", "webhooks")
    names = [*app, *(f"{group} {name}" for group in groups for name in app[group])]
    for name in [name for name in names if "-" not in name and name not in groups]:
        assert f"`{name}`" in text
