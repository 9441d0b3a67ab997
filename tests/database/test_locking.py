"""The embedded database has one long-running process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.database import locking

HOLD = """
import sys, time
from marketplace.database import locking
with locking.hold_file(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'some.db'}"
    with locking.hold_file(url), pytest.raises(locking.AlreadyServed) as refused, locking.hold_file(url):
        pass
    assert str(tmp_path / "some.db") in str(refused.value)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_the_file_is_free_again_after_its_holder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'some.db'}"
    for _ in range(2):
        with locking.hold_file(url):
            assert (tmp_path / "some.db.lock").read_text() == f"{os.getpid()}\n"


def test_two_files_have_two_holders(tmp_path: Path) -> None:
    one, two = f"sqlite:///{tmp_path / 'one.db'}", f"sqlite:///{tmp_path / 'two.db'}"
    with locking.hold_file(one), locking.hold_file(two):
        assert {path.name for path in tmp_path.glob("*.lock")} == {"one.db.lock", "two.db.lock"}


def test_on_postgres_there_is_no_file_to_hold() -> None:
    url = "postgresql://nobody@localhost/nothing"
    with locking.hold_file(url), locking.hold_file(url):
        assert not Path("nothing.lock").exists()


def test_a_killed_holder_leaves_the_file_free(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'some.db'}"
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(locking.AlreadyServed), locking.hold_file(url):
            pass
        holder.kill()
    with locking.hold_file(url):
        pass
