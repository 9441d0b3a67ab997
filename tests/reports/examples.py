"""The examples in the documents: commands in `sh` blocks, each followed by its answer as a comment.

`python -m tests.reports.examples URL FILE …` runs them against a server and writes the answers anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.reports import documents
from tests.structure.tree import ROOT

SERVER = "localhost:8080"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
KEY = re.compile(r"\b(mk_[0-9a-f]{16}_[0-9a-f]{64}|[0-9a-f]{16})\b")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


LONGEST_SECONDS = 120
"""What waits for something that never comes is given up."""


class Example(NamedTuple):
    command: str
    answer: str


def read(block: str) -> list[Example]:
    """Return the commands of a block with the answers that the block gives.

    A command goes on after a backslash and inside quotes.
    """
    examples: list[Example] = []
    lines = block.splitlines()
    while lines:
        command, answer = [lines.pop(0)], []
        while command[-1].endswith("\\") or "\n".join(command).count("'") % 2:
            command.append(lines.pop(0))
        while lines and lines[0].startswith("# "):
            answer.append(lines.pop(0)[2:])
        if command != [""]:
            examples.append(Example("\n".join(command), "\n".join(answer)))
    return examples


def in_document(name: str) -> list[Example]:
    """Return the examples that talk to a server, in order."""
    return [example for block in blocks(documents.text(name)) for example in read(block)]


def blocks(text: str) -> list[str]:
    found = BLOCK.findall(text)
    return found if any(SERVER in block for block in found) else []


def run(examples: list[Example], *, server: str, **variables: str) -> list[str]:
    """Run the commands in one shell against `server`, in a folder of its own, and return what each prints."""
    script = "".join(f"printf '\\036'\n{example.command}\n" for example in examples).replace(SERVER, server)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | variables
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
    assert not done.stderr, done.stderr
    return [output.strip() for output in done.stdout.split("\036")[1:]]


def without_moments(answer: str) -> str:
    """Return an answer with its times and keys blanked: they are never the same again."""
    return KEY.sub("…", MOMENT.sub("…", answer))


def rewrite(name: str, *, server: str) -> None:
    text = documents.text(name)
    examples = in_document(name)
    answers = iter(run(examples, server=server))

    def write(match: re.Match[str]) -> str:
        body = []
        for command, _ in read(match[1]):
            answer = next(answers)
            body += [command, *(f"# {line}" for line in answer.splitlines())]
        return "```sh\n" + "\n".join(body) + "\n```"

    (ROOT / name).write_text(BLOCK.sub(write, text), encoding="utf-8")


if __name__ == "__main__":
    for file in sys.argv[2:]:
        rewrite(str(Path(file)), server=sys.argv[1])
