"""`marketplace auction`, `sequencer`, `solver` and `demo auction`, against real servers and as real processes."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from marketplace.cli import root
from marketplace.client import Client
from tests.services.children import Child, free_port
from tests.services.server import clean_environment

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
Run = Callable[[str], list[str]]
PATIENCE_SECONDS = 40
QUICK = "--tick 0.05 --window 2 --fulfil 30 --grace 0.1"


@pytest.fixture
def run(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, start_server: StartServer, database_url: str
) -> Callable[[str], list[str]]:
    """Run a command that must succeed against a server of its own, and return what it printed, line by line."""
    monkeypatch.setenv("MARKETPLACE_URL", start_server(database_url, "--jobs").url)
    return lambda line: printed_by(line, capsys)


def printed_by(line: str, capsys: Capture) -> list[str]:
    code = root.run(line.split())
    captured = capsys.readouterr()
    assert code == 0, captured.out + captured.err
    assert "\x1b" not in captured.out
    return [line.rstrip() for line in captured.out.splitlines()]


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def state_of(run: Run, order_id: str) -> str:
    documents = map(json.loads, run("auction orders --json"))
    return str(next(one["state"] for one in documents if one["order_id"] == int(order_id)))


# ── at the keyboard ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_day_with_auctions_at_the_keyboard(run: Run, capsys: Capture, tmp_path: Path) -> None:
    assert run(f"auction open quick {QUICK}") == ["The book quick is open."]
    assert run("auction set quick --bond 2 --batch-size 9") == ["The book quick is changed."]
    assert [row.split() for row in run("auction books")][1:] == [
        ["default", "2", "5", "5", "10", "2", "none", "ledger"],
        ["quick", "0.05", "9", "2", "30", "0.1", "2.00", "ledger"],
    ]
    (told,) = run("auction order film --username ann --book quick --budget 100 --limit-output 90 --expires-in 600")
    order_id = told.split()[1]
    until(lambda: state_of(run, order_id) == "open")
    assert run(f"auction bid {order_id} 100 1.05 --solver s1") == [f"s1 bids 105.00 for 100.00 on order {order_id}."]
    assert run(f"auction bids {order_id}")[1].split()[1:5] == ["s1", "105.00", "100.00", "1.05"]
    until(lambda: state_of(run, order_id) == "committed")
    assert run("auction commitments --book quick --solver s1")[1].split()[1:6] == [
        order_id, "s1", "100.00", "105.00", "0.00",
    ]  # fmt: skip
    assert run(f"auction deposit {order_id} 5 --solver s1") == ["Deposited 5.00: 5.00 of 105.00."]
    assert run(f"auction deposit {order_id} --solver s1") == ["Deposited 100.00: 105.00 of 105.00."]
    until(lambda: state_of(run, order_id) == "filled")
    assert run("auction solvers --book quick")[1].split()[:4] == ["s1", "1", "0", "0.048"]
    kinds = [line.split()[3] for line in run("auction log --book quick")]
    assert (kinds[0], kinds[-1]) == ("OrderAdded", "OrderFilled")
    assert run("auction verify --book quick")[0].startswith("Every decision follows from the log (")


def test_what_cannot_be_done_ends_with_a_sentence(run: Run, capsys: Capture) -> None:
    for line, code in (
        ("auction cancel 99", 1),
        ("auction bid 99 1 1 --solver s1", 1),
        ("auction deposit 99 --solver s1", 1),
        ("auction claim 99 --solver s1", 1),
        ("auction open default", 1),
        ("auction log --book nowhere", 1),
        ("auction set default", 2),
        ("auction order x --username ann --payload [1]", 2),
        ("auction verify /no/such/file", 2),
        ("solver", 2),
        ("solver --order-port 1", 2),
        ("sequencer --tick 0", 2),
        ("sequencer --order-port 70000", 2),
    ):
        assert root.run(line.split()) == code, line
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert captured.err.strip()


def test_a_log_that_was_saved_is_verified_and_a_forged_one_is_found_out(
    run: Run, capsys: Capture, tmp_path: Path
) -> None:
    run(f"auction open quick {QUICK}")
    (told,) = run("auction order film --username ann --book quick")
    order_id = told.split()[1]
    until(lambda: state_of(run, order_id) == "open")
    for solver, rate in (("s1", "1.1"), ("s2", "1.2")):
        run(f"auction bid {order_id} 10 {rate} --solver {solver}")
    until(lambda: state_of(run, order_id) == "committed")
    saved = "\n".join(run("auction log --book quick --json"))
    file = tmp_path / "log.jsonl"
    file.write_text(saved, encoding="utf-8")
    assert run(f"auction verify {file} --book quick")[0].startswith("Every decision follows")
    for forged in (
        saved.replace('"solver":"s2"', '"solver":"s1"'),
        saved.replace('"winning_output":"12.00"', '"winning_output":"11.00"'),
        saved.replace('"conversion_rate":"1.1"', '"conversion_rate":"1.3"'),
        "\n".join(saved.splitlines()[1:]),
    ):
        assert forged != saved
        file.write_text(forged, encoding="utf-8")
        assert root.run(["auction", "verify", str(file), "--book", "quick"]) == 1
        assert "1 faults found" in capsys.readouterr().out
    file.write_text("x\n", encoding="utf-8")
    assert root.run(["auction", "verify", str(file)]) == 2
    assert "Line 1 is no entry" in capsys.readouterr().err


def test_the_demo_fills_one_order_and_reassigns_one(capsys: Capture) -> None:
    printed = printed_by("demo auction", capsys)
    kinds = [line.split()[3] for line in printed if re.match(r" +\d+ \d{4}-", line)]
    assert kinds.count("OrderFilled") == 2
    assert kinds[kinds.index("CommitmentFailed") :][:3] == ["CommitmentFailed", "OrderReassigned", "CommitmentCreated"]
    wallets = dict(line.split() for line in printed if re.fullmatch(r"(ann|bob|s\d) +\d+\.\d\d", line))
    assert wallets == {"ann": "1010.00", "bob": "1002.00", "s1": "998.00", "s2": "990.00", "s3": "1000.00"}


# ── the sequencer and its solvers ────────────────────────────────────────────────────────────────────────────────────


class Crew:
    """A sequencer and solvers, each a process of its own."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.ports = [free_port() for _ in range(3)]
        self.children: list[Child] = []

    def start(self, name: str, *arguments: str, **variables: str) -> Child:
        command = [sys.executable, "-m", "marketplace", *arguments]
        log = self.folder / f"{name}-{len(self.children)}.txt"
        environment = clean_environment() | variables
        self.children.append(Child(command, log=log, environment=environment, folder=self.folder))
        return self.children[-1]

    def sequence(self, *flags: str) -> Child:
        ports = zip(("--order-port", "--bid-port", "--fulfill-port"), map(str, self.ports), strict=True)
        named = [word for pair in ports for word in pair]
        return self.start("sequencer", "sequencer", "--database-url", self.database_url, *named, *flags)

    def solve(self, name: str, *flags: str, **variables: str) -> Child:
        ports = zip(("--order-port", "--bid-port", "--fulfill-port"), map(str, self.ports), strict=True)
        named = [word for pair in ports for word in pair]
        return self.start(name, "solver", "--id", name, "--seed", name[-1], *named, *flags, **variables)

    def end(self) -> None:
        for child in self.children:
            child.end()


@pytest.fixture
def crew(tmp_path: Path, sqlite_url: str) -> Iterator[Crew]:
    crew = Crew(tmp_path, sqlite_url)
    yield crew
    crew.end()


def test_a_sequencer_on_its_own_file_is_a_demonstration(crew: Crew, capsys: Capture) -> None:
    sequencer = crew.sequence("--tick", "0.2", "--synthetic", "2", "--seed", "7")
    until(lambda: "line protocol" in sequencer.read_log())
    solvers = [crew.solve(name, "--work-seconds", "0.2", "--chance", "1") for name in ("s1", "s2")]
    for said in ("tick of default", "OrderAdded", "BatchCreated", "BidReceived", "BidSelected", "CommitmentCreated"):
        until(lambda said=said: said in sequencer.read_log())  # type: ignore[misc]
    until(lambda: sequencer.read_log().count("OrderFilled") >= 4)
    assert sequencer.end() == 0
    # Its solvers wait for it, and go on when it is there again.
    until(lambda: all("the connection is lost" in solver.read_log() for solver in solvers))
    again = crew.sequence("--tick", "0.2", "--synthetic", "2")
    until(lambda: again.read_log().count("OrderFilled") >= 2)
    assert [solver.is_running for solver in solvers] == [True, True]
    assert again.end() == 0
    assert "books balance" in printed_by(f"db audit --database-url {crew.database_url}", capsys)[-1].lower()


def test_beside_servers_several_sequencers_put_out_nothing_unless_asked(
    tmp_path: Path, postgres_url: str, capsys: Capture
) -> None:
    crew = Crew(tmp_path, postgres_url)
    try:
        crew.sequence("--tick", "0.1")
        metrics = str(free_port())
        flags = ("--database-url", postgres_url, "--no-line-protocol")
        idle = crew.start("idle", "sequencer", *flags, "--tick", "0.1", "--metrics-port", metrics)
        until(lambda: all(child.read_log().count("nothing due") >= 3 for child in crew.children))
        told = httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
        ticks = re.findall(r"^marketplace_auction_ticks_total\S* (\S+)$", told, re.MULTILINE)
        assert sum(map(float, ticks)) >= 3
        assert root.run(["sequencer", *flags, "--metrics-port", metrics]) == 2
        assert metrics in capsys.readouterr().err
        assert not [child.read_log() for child in crew.children if "OrderAdded" in child.read_log()]
        assert "line protocol" not in idle.read_log()
        asked = ("--no-line-protocol", "--synthetic", "1")
        crew.start("asked", "sequencer", "--database-url", postgres_url, *asked)
        until(lambda: "OrderAdded" in idle.read_log())
    finally:
        crew.end()


def test_what_keeps_a_sequencer_from_starting_is_told_in_a_sentence(crew: Crew, capsys: Capture) -> None:
    sequencer = crew.sequence("--no-synthetic")
    until(lambda: "line protocol" in sequencer.read_log())
    for flags in (f"--database-url {crew.database_url}", "--host 0.0.0.0", "--book nowhere --no-line-protocol"):
        assert root.run(f"sequencer --no-synthetic {flags}".split()) != 0
        assert "Traceback" not in capsys.readouterr().err
    taken = f"sequencer --database-url sqlite:///{crew.folder}/other.db --order-port {crew.ports[0]}"
    assert root.run(taken.split()) == 1
    assert str(crew.ports[0]) in capsys.readouterr().err


def test_solvers_show_their_keys_on_lines_and_over_http(crew: Crew, capsys: Capture, start_server: StartServer) -> None:
    (admin,) = printed_by(f"keys create --admin --database-url {crew.database_url}", capsys)
    flags = ("--auction-order-port", "--auction-bid-port", "--auction-fulfill-port")
    named = [word for flag, port in zip(flags, crew.ports, strict=True) for word in (flag, str(port))]
    server = start_server(crew.database_url, "--auth", "keys", *named)
    with Client(server.url, key=admin.split()[-1]) as client:
        for name in ("s1", "s2", "ann"):
            client.create_member(name)
            client.deposit(name, 10_000)
        keys = {name: client.create_key(["read", "solve"], username=name).key or "" for name in ("s1", "s2")}
        client.change_auction_book("default", tick_seconds=0.1, bidding_window_seconds=0.6)
        lines = crew.solve("s1", "--chance", "1", "--work-seconds", "0.1", MARKETPLACE_KEY=keys["s1"])
        http = crew.start(
            *("s2", "solver", "--chance", "1", "--work-seconds", "0.1", "--url", server.url, "--position", "s2.at"),
            MARKETPLACE_KEY=keys["s2"],
        )
        stranger = crew.solve("s1", MARKETPLACE_KEY=keys["s2"][:-1] + "0")
        until(lambda: "connected" in lines.read_log() and "solving" in http.read_log())

        def filled_by() -> set[str]:
            client.place_order("anything", username="ann", input_budget=200)
            time.sleep(0.2)
            return {one.solver for one in client.commitments(state="filled")}

        until(lambda: filled_by() >= {"s1", "s2"})
        until(lambda: "connection is lost" in stranger.read_log())
        assert "owes" not in stranger.read_log()
        assert int((crew.folder / "s2.at").read_text()) > 0
