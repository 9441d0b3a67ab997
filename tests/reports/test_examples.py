"""The examples of the documents, run against a real server, give the answers that stand below them."""

from __future__ import annotations

import shutil

import pytest

from marketplace.cli import root
from tests.conftest import StartServer
from tests.reports import documents, examples

WITH_EXAMPLES = [
    "README.md",
    *(f"docs/guide/{name}.md" for name in ("addresses", "api", "auctions", "events", "hours", "spot", "wallets")),
]
WITH_KEYS = "docs/guide/keys.md"


def test_every_document_with_examples_is_checked() -> None:
    assert [name for name in documents.markdown() if examples.in_document(name)] == sorted([*WITH_EXAMPLES, WITH_KEYS])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples call curl")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_give_the_answers_that_stand_below_them(
    name: str, database_url: str, start_server: StartServer
) -> None:
    written = examples.in_document(name)
    server = start_server(database_url, "--jobs")  # some guides wait for what happens by the clock
    check(written, examples.run(written, server=f"localhost:{server.port}"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples call curl")
def test_the_examples_with_keys_give_the_answers_that_stand_below_them(
    database_url: str, start_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(["keys", "create", "--admin", "--database-url", database_url]) == 0
    admin = capsys.readouterr().out.strip()
    server = start_server(database_url, "--auth", "keys")
    written = examples.in_document(WITH_KEYS)
    check(written, examples.run(written, server=f"localhost:{server.port}", ADMIN=admin))


def check(written: list[examples.Example], answers: list[str]) -> None:
    for example, answer in zip(written, answers, strict=True):
        expected = examples.without_moments(example.answer)
        assert examples.without_moments(answer) == expected, example.command
