"""The files for containers say what the program understands: settings, commands, health, and no more than it needs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace.foundation import settings
from tests.services.server import clean_environment
from tests.structure import tree

COMPOSE: dict[str, Any] = yaml.safe_load(tree.text(Path("compose.yaml")))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "marketplace"}
DOCKERFILE = tree.text(Path("Dockerfile"))
TARGETS = set(re.findall(r"^([a-z][a-z-]*):.*## ", tree.text(Path("Makefile")), re.MULTILINE))


def substituted(value: str) -> str:
    """Replace `${NAME:-default}` as compose does where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def image_variables() -> dict[str, str]:
    """Return what the image itself sets."""
    return dict(re.findall(r"(MARKETPLACE_\w+)=(\S+)", DOCKERFILE))


def instructions(name: str, text: str = DOCKERFILE) -> list[str]:
    """Return the arguments of one kind of instruction, continued lines joined."""
    return re.findall(rf"^{name} (.*)$", text.replace("\\\n", " "), re.MULTILINE)


# ── compose.yaml ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_accepted(name: str) -> None:
    given = {key: substituted(value) for key, value in OURS[name]["environment"].items()}
    loaded = settings.load(environment=image_variables() | given)
    assert not loaded.embedded
    if name == "app":
        assert (loaded.host, loaded.trusted_network, loaded.workers > 1) == ("0.0.0.0", True, True)


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_exists(name: str) -> None:
    command = OURS[name].get("entrypoint") or json.loads(instructions("ENTRYPOINT")[0])
    assert command[0] == "marketplace"
    check_command(command[1:])
    if check := OURS[name].get("healthcheck", {}).get("test"):
        assert check[:2] == ["CMD", "marketplace"]
        check_command(check[2:])


def check_command(words: list[str]) -> None:
    line = [sys.executable, "-m", "marketplace", *words, "--help"]
    done = subprocess.run(line, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert words[-1] in done.stdout


def test_only_this_machine_reaches_what_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports, "the app has to be published"
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_everything_waits_for_what_it_needs() -> None:
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("app", "worker"):
        assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_every_service_that_stays_has_a_health_check() -> None:
    assert instructions("HEALTHCHECK"), "the image's own, for the app"
    assert "healthcheck" in SERVICES["postgres"]
    assert SERVICES["worker"]["healthcheck"]["test"][0] == "CMD"
    assert set(SERVICES) == {"postgres", "migrate", "app", "worker"}


# ── Dockerfile ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_image_sets_only_settings_that_there_are() -> None:
    assert settings.load(environment=image_variables()).port == 8080


def test_the_image_runs_as_somebody_without_rights_and_takes_the_flags_of_serve() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert instructions("USER", last_stage) == ["marketplace"]
    assert json.loads(instructions("ENTRYPOINT", last_stage)[0]) == ["marketplace", "serve"]
    assert len(instructions("FROM")) == 2


def test_the_last_stage_has_no_build_tools() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"\b(?:pip|apt-get|curl|wget|gcc|uv)\b", last_stage) == []


def test_the_builder_gets_what_the_image_copies_and_nothing_else() -> None:
    copied = {line.split()[0] for line in instructions("COPY") if not line.startswith("--from")}
    allowed = {
        line[1:].removesuffix("/**") for line in tree.text(Path(".dockerignore")).split() if line.startswith("!")
    }
    assert copied == allowed
    assert all((tree.ROOT / name).exists() for name in copied)


def test_the_health_check_is_python_that_parses() -> None:
    check = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")


# ── Makefile ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_has_the_targets_that_are_documented() -> None:
    expected = {"run", "test", "check", "bench", "soak", "coverage", "test-unit", "test-property", "test-races", "help"}
    assert expected <= TARGETS
    mentioned = {
        target
        for path in tree.files()
        if path.suffix == ".md"
        for target in re.findall(r"`make ([a-z-]+)", tree.text(path))
    }
    assert mentioned <= TARGETS


def test_make_alone_shows_its_targets() -> None:
    shown = subprocess.run(["make", "-s"], cwd=tree.ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target} " in shown for target in TARGETS)
