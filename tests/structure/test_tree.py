"""What is committed is whole and belongs here: locks, vendored files, versions, no trace of anybody's machine."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import marketplace
from tests.structure import tree

LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads(tree.text(Path("pyproject.toml")))
EXTRAS = PROJECT["project"]["optional-dependencies"]
SHIPPED = PROJECT["project"]["dependencies"] + EXTRAS["docker"] + EXTRAS["kubernetes"]

PACKAGE_HOST = re.compile(
    r"[\w.-]*(?:pypi|pythonhosted|npmjs|artifactory|jfrog|jsdelivr|unpkg)[\w-]*\.(?:org|com|io|net|dev)\b"
)
SOMEBODYS_FOLDER = re.compile(r"(?<![\w.])/(?:root|work|Users|home/[a-z]+)/\w")


def vendored(path: Path) -> bool:
    return "assets" in path.parts


# ── the locks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions that a lock pins for each package; markers may make it more than one."""
    found: dict[str, set[str]] = {}
    for line in tree.text(Path(lock)).splitlines():
        if match := re.match(r"([\w.-]+)(?:\[.*\])?==([^\s;]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_of_a_lock_has_hashes(lock: str) -> None:
    entries = re.split(r"^(?=\S)", tree.text(Path(lock)), flags=re.MULTILINE)
    packages = [entry for entry in entries if entry and not entry.startswith(("#", "-"))]
    assert len(packages) > 20
    assert [entry.split()[0] for entry in packages if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock: str) -> None:
    assert (
        re.findall(
            r"^.*(?:://|--(?:extra-)?index-url|--find-links|--trusted-host).*$", tree.text(Path(lock)), re.MULTILINE
        )
        == []
    )


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", SHIPPED),
        ("requirements-dev.lock", SHIPPED + PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_a_lock_agrees_with_the_project(lock: str, wanted: list[str]) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, wanted):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{lock} lacks {requirement.name}: run `make lock`"
        assert all(version in requirement.specifier for version in versions), f"{requirement}: run `make lock`"


def test_development_runs_the_versions_that_are_shipped() -> None:
    shipped, developed = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: versions for name, versions in shipped.items() if developed.get(name) != versions} == {}


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == marketplace.__version__
    headings = re.findall(r"^## \[([^\]]+)\]", tree.text(Path("CHANGELOG.md")), re.MULTILINE)
    assert headings, "CHANGELOG.md names no version"
    assert marketplace.__version__ in headings or headings[0] == "Unreleased"


# ── vendored files ───────────────────────────────────────────────────────────────────────────────────────────────────


VENDORED = [
    path for path in tree.files() if vendored(path) and path.name.endswith((".min.js", "-bundle.js", ".css", "htmx.js"))
]


@pytest.mark.parametrize("path", VENDORED, ids=str)
def test_a_vendored_file_is_what_its_folder_says_it_is(path: Path) -> None:
    folder = tree.ROOT / path.parent
    assert any(file.name.startswith("LICENSE") for file in folder.iterdir()), f"{path.parent} needs the licence"
    written = "".join((folder / name).read_text() for name in ("README.md", "SHA256SUMS") if (folder / name).is_file())
    checksum = hashlib.sha256((tree.ROOT / path).read_bytes()).hexdigest()
    is_told = checksum in written
    assert is_told, f"{path.parent} has to tell the checksum of {path.name}"


# ── nobody's machine ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_file_names_a_package_host() -> None:
    found = {
        str(path): match[0]
        for path in tree.files()
        if not vendored(path)
        if (match := PACKAGE_HOST.search(tree.text(path)))
    }
    assert found == {}


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = {
        str(path): match[0]
        for path in tree.files()
        if not vendored(path)
        if (match := SOMEBODYS_FOLDER.search(tree.text(path)))
    }
    assert found == {}
