"""What the command line says before it reaches a server or a database."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import marketplace
from marketplace.cli import flags, root
from marketplace.foundation.settings import Settings

NOBODY = "http://127.0.0.1:1"

COMMANDS = [
    "", "serve", "work", "db", "db upgrade", "db check", "db audit", "buy", "sell", "allocation", "book", "bids", "log",
    "report", "demo", "simulate", "ip", "ip allocate", "ip release", "ip show", "ip list", "ip stats", "ip networks",
    "ip reconcile", "keys", "keys create", "keys list", "keys revoke", "members", "members create", "members list",
    "wallet", "wallet show", "wallet statement", "wallet deposit", "wallet withdraw", "wallet transfer",
    "wallet set", "wallet assets", "webhooks change", "keys whoami",
    "webhooks", "webhooks add", "webhooks list", "webhooks enable", "webhooks disable",
    "webhooks remove", "webhooks rotate", "webhooks test", "webhooks log", "webhooks replay",
    "demo spot", "simulate spot", "spot", "spot bid", "spot preview", "spot list", "spot show", "spot amend",
    "spot cancel", "spot leases", "spot logs", "spot bill", "spot bills", "spot evict", "spot pools",
    "spot price", "spot prices", "spot nodes", "spot add-node", "spot cordon", "spot drain", "spot uncordon",
    "spot remove-node", "demo auction", "sequencer", "solver", "auction", "auction order", "auction orders",
    "auction cancel", "auction bid", "auction bids", "auction commitments", "auction deposit", "auction claim",
    "auction log", "auction solvers", "auction books", "auction verify", "auction open", "auction set",
]  # fmt: skip

WRONG = [
    ("serve --workers 2", "more than one worker needs Postgres"),
    ("serve --port 0", "The setting port is wrong"),
    ("serve --host 0.0.0.0", "trusted_network = true"),
    ("serve --cors-origins example.org", "cors_origins takes origins such as https://example.org"),
    ("serve --tls-cert cert.pem", "tls_cert and tls_key go together"),
    ("serve --config no-such-file.toml", "no-such-file.toml cannot be read"),
    ("serve --network 10.0.0.1/24", "the network 10.0.0.1/24 has host bits set: write 10.0.0.0/24"),
    ("serve -n 10.0.0.0/33", "'10.0.0.0/33' is no network: write it as 10.0.0.0/16, fd00::/64 or 172.16.0"),
    ("serve -n 192.168.1 -g 192.168.2.1", "the gateway 192.168.2.1 is outside the network 192.168.1.0/24"),
    ("serve -g 10.0.0.1", "the gateway 10.0.0.1 is outside the network 172.16.0.0/24"),
    ("serve -n 192.168.1 -g router", "'router' is no IP address"),
    ("serve --network-alarm-percent 0", "The setting network_alarm_percent is wrong"),
    ("work --database-url mysql://here", "database_url must begin with sqlite:/// or postgresql://"),
    ("report no_such_report", "There is no report 'no_such_report'; there are"),
    ("simulate --sells 0.7 --cancels 0.7", "add up to 1 at most"),
    ("keys create", "Say whose key it will be"),
    ("keys create ann --scope everything", "everything"),
    ("keys create ann --expires soon", "soon"),
    (f"keys create {'x' * 129}", "A username or a label cannot be so"),
    ("serve --auth members", "members"),
    ("ip release", "Name either a VM or, with --ip, an address."),
    ("ip release vm-1 --ip 10.0.0.1", "Name either a VM or, with --ip, an address."),
    ("ip reconcile no-such-file.txt", "The file no-such-file.txt cannot be read"),
    ("ip allocate", "requires an argument"),
    ("wallet set ann", "Say what to change: --low-balance or --credit-limit."),
    ("wallet deposit ann", "requires an argument"),
    ("wallet assets --add gram", "takes both --add and --decimals"),
    ("webhooks change 7", "Say what to change: --target, --topic or --kind."),
    ("no-such-command", "Unknown command"),
    ("spot bid app:1 --cpu lots", "lots is no amount of cpu: write 2, 0.5 or 500m."),
    ("spot bid app:1 --env A", "A is no variable: write NAME=value."),
    ("spot add-node n --settings [", "--settings is no JSON object"),
    ("buy u1 many 3", 'unable to convert "many" into int'),
    ("buy u1", "requires an argument"),
]

CLIENT_COMMANDS = [
    "buy u1 1 1", "sell 1", "allocation u1", "book", "bids", "log", "log --follow", "simulate -n 1",
    "ip allocate vm-1", "ip release vm-1", "ip release --ip 10.0.0.1", "ip show vm-1", "ip list", "ip stats",
    "ip networks", "keys create --key mk_1", "keys list --key mk_1", "keys revoke 0123456789abcdef --key mk_1",
    "members create ann", "members list",
    "wallet show ann", "wallet statement ann", "wallet deposit ann 1", "wallet withdraw ann 1",
    "wallet transfer ann bob 1", "wallet set ann --low-balance 1",
    "wallet assets", "webhooks change 1 --kind bid_placed", "keys whoami",
    "webhooks add https://example.org/", "webhooks list", "webhooks enable 1", "webhooks disable 1",
    "webhooks remove 1", "webhooks rotate 1", "webhooks test 1", "webhooks log 1", "webhooks replay 1 1 2",
    "spot bid app:1 --per-hour 1", "spot preview", "spot list", "spot show 1", "spot amend 1 --per-hour 1",
    "spot cancel 1", "spot leases", "spot logs 1", "spot bill 1", "spot bills", "spot evict 1", "spot pools",
    "spot price", "spot prices", "spot nodes", "spot add-node n", "spot cordon n", "spot drain n", "spot uncordon n",
    "spot remove-node n", "simulate spot -n 1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MARKETPLACE_URL", "MARKETPLACE_KEY", "MARKETPLACE_CONFIG", "MARKETPLACE_DATABASE_URL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: marketplace {command}".rstrip())
    assert "\x1b" not in out


def test_the_list_of_commands_here_is_whole() -> None:
    app = root.make_app()
    groups = ("auction", "db", "demo", "ip", "keys", "members", "simulate", "spot", "wallet", "webhooks")
    listed = {*app, *(f"{group} {name}" for group in groups for name in app[group])}
    names = {name for name in listed if not name.rpartition(" ")[2].startswith("-")}
    assert names == set(COMMANDS) - {""}


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == marketplace.__version__


@pytest.mark.parametrize(("line", "sentence"), WRONG)
def test_a_wrong_request_ends_with_a_sentence_and_code_2(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(line.split()) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""


def test_a_variable_that_names_no_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARKETPLACE_PROT", "80")
    assert root.run(["serve"]) == 2
    assert "MARKETPLACE_PROT names no setting" in capsys.readouterr().err


@pytest.mark.parametrize("line", CLIENT_COMMANDS)
def test_a_server_that_is_not_there_ends_with_a_sentence_and_code_1(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([*line.split(), "--url", NOBODY]) == 1
    sentence = f"No server answers at {NOBODY}; start one with `marketplace serve`."
    assert capsys.readouterr().err.strip() == sentence


def test_the_server_is_named_by_a_variable_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MARKETPLACE_URL", NOBODY)
    assert root.run(["book"]) == 1
    assert NOBODY in capsys.readouterr().err


@pytest.mark.parametrize("line", ["db check", "db audit", "report daily_volume"])
def test_a_database_that_is_not_there_is_not_created(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.db"
    assert root.run([*line.split(), "--database-url", f"sqlite:///{file}"]) == 1
    assert "There is no database at" in capsys.readouterr().err
    assert not file.exists()


def test_reports_are_listed_without_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["report"]) == 0
    assert "daily_volume" in capsys.readouterr().out.split()


def test_every_setting_has_a_flag_and_every_flag_is_a_setting() -> None:
    groups = (
        *(flags.ServerFlags, flags.DatabaseFlags, flags.LaneFlags),
        *(flags.EventFlags, flags.SpotFlags, flags.MetricsFlags, flags.LineFlags, flags.LogFlags),
    )
    named = [field.name for group in groups for field in dataclasses.fields(group)]
    assert sorted(named) == sorted([field.name for field in msgspec.structs.fields(Settings)] + ["config"])


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1001\nmax_batch = 7\ncors_origins = ["https://example.org"]\n', encoding="utf-8")
    monkeypatch.setenv("MARKETPLACE_PORT", "1002")
    monkeypatch.setenv("MARKETPLACE_MAX_WAITING_ORDERS", "9")
    settings = flags.load_settings(flags.DatabaseFlags(config=file), flags.ServerFlags(port=1003))
    assert (settings.port, settings.max_batch, settings.max_waiting_orders) == (1003, 7, 9)
    assert settings.cors_origins == ("https://example.org",)


def test_the_command_line_starts_without_a_database_or_a_web_framework() -> None:
    script = (
        "import sys; from marketplace.cli import root; root.make_app();"
        "print({'sqlalchemy', 'alembic', 'litestar', 'uvicorn', 'httpx', 'msgspec'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=180)
    assert run.stdout.strip() == "set()"
