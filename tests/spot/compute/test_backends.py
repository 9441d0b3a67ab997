"""Backends are found by name; a specification that exists is within its bounds."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketplace.spot import compute
from marketplace.spot.compute import BadSettings, Container, docker, kubernetes, simulated
from marketplace.spot.compute.model import IMAGE, MAX_LOG_BYTES, MAX_REASON, tail
from tests.spot.compute.worlds import make_spec
from tests.structure import tree


def install(folder: Path, distribution: str, name: str, value: str) -> None:
    """Lay out what an installed distribution with one entry point looks like."""
    (meta := folder / f"{distribution}-1.0.dist-info").mkdir()
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(f"[{compute.GROUP}]\n{name} = {value}\n")


# ── by name ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_built_in_backends_are_the_entry_points_of_the_project() -> None:
    project = tomllib.loads(tree.text(Path("pyproject.toml")))["project"]
    assert project["entry-points"][compute.GROUP] == compute.BUILT_IN
    assert set(compute.BUILT_IN) <= set(compute.names())


def test_each_built_in_backend_is_what_the_protocol_says() -> None:
    """The type checker is who would fail here."""
    connects: list[compute.Connect] = [simulated.connect, docker.connect, kubernetes.connect]
    assert [connect.__module__.rpartition(".")[2] for connect in connects] == [*compute.BUILT_IN]


async def test_a_backend_that_somebody_else_installed_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_backend.py").write_text("async def connect(owner, settings):\n    return (owner, settings)\n")
    install(tmp_path, "theirs", "firecracker", "their_backend:connect")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "firecracker" in compute.names()
    found: Any = await compute.connect("firecracker", "town", {"a": 1})
    assert found == ("town", {"a": 1})
    install(tmp_path, "others", "firecracker", "other_backend:connect")
    importlib.invalidate_caches()
    with pytest.raises(BadSettings, match=r"More than one backend .* other_backend:connect, their_backend:connect\."):
        await compute.connect("firecracker", "town", {})


async def test_a_built_in_backend_can_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "better_simulation.py").write_text("async def connect(owner, settings):\n    return 'better'\n")
    install(tmp_path, "better", "simulated", "better_simulation:connect")
    monkeypatch.syspath_prepend(str(tmp_path))
    found: Any = await compute.connect("simulated", "town", {})
    assert found == "better"


async def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadSettings, match=r"No backend is called 'lxc'; there are docker, kubernetes, simulated\."):
        await compute.connect("lxc", "town", {})


async def test_a_backend_whose_extra_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "marketplace.spot.compute.docker", raising=False)
    monkeypatch.delattr(compute, "docker", raising=False)
    monkeypatch.setitem(sys.modules, "aiodocker", None)
    with pytest.raises(BadSettings, match=r"needs aiodocker: pip install 'marketplace\[docker\]'\."):
        await compute.connect("docker", "town", {})


@pytest.mark.parametrize("owner", ["", "Town", "a-b", "a.b", "a" * 27, "../x", "a\n"])
async def test_an_owner_is_a_word(owner: str) -> None:
    with pytest.raises(BadSettings, match="owner"):
        await compute.connect("simulated", owner, {})


@pytest.mark.parametrize(
    "backend", [simulated, docker, kubernetes], ids=lambda module: module.__name__.rpartition(".")[2]
)
def test_every_setting_of_a_backend_is_documented(backend: Any) -> None:
    chapters = re.split(r"^## ", tree.text(Path("docs/guide/backends.md")), flags=re.MULTILINE)
    (chapter,) = [it for it in chapters if it.startswith(backend.__name__.rpartition(".")[2] + "\n")]
    rows = re.findall(r"^\| (`.*?) \|", chapter, re.MULTILINE)
    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(documented) == sorted(field.name for field in msgspec.structs.fields(backend.Settings))


# ── specifications ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "busybox:1.36",
        "library/busybox:latest",
        "localhost:5000/team/app_x.y-z:V1.0_a",
        "registry.example.org/a/b/c@sha256:" + "0" * 64,
        "registry.example.org/a:1@sha256:" + "f" * 64,
    ],
)
def test_an_image_is_named_as_registries_name_it(image: str) -> None:
    assert IMAGE.fullmatch(image)
    assert make_spec({"lease_id": "lease-1", "image": image}).image == image


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lease_id", ""),
        ("lease_id", "-1"),
        ("lease_id", "a" * 37),
        ("lease_id", "lease_1"),
        ("image", ""),
        ("image", "Busybox"),
        ("image", "busybox:"),
        ("image", "../busybox"),
        ("image", "busybox/json?x="),
        ("image", "bad image"),
        ("image", "busybox@sha256:abc"),
        ("image", "a/" * 130 + "a"),
        ("cpu_millis", 9),
        ("cpu_millis", 256_001),
        ("memory_mib", 15),
        ("memory_mib", 2**40),
        ("grace_seconds", -1),
        ("grace_seconds", 3_601),
        ("command", ("",)),
        ("command", ("a\0b",)),
        ("command", ("a",) * 257),
        ("command", ("a" * 32_769,)),
        ("command", ("\ud800",)),
        ("environment", {"": "x"}),
        ("environment", {"A=B": "x"}),
        ("environment", {"A": "\0"}),
        ("environment", {f"A{number}": "" for number in range(257)}),
        ("environment", {"A": "é" * 16_384}),
    ],
)
def test_what_is_out_of_bounds_cannot_be_specified(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"[a-z]{3}"):
        make_spec({"lease_id": "lease-1", "image": "busybox", field: value})


def test_an_end_is_never_before_its_start_and_a_reason_never_long() -> None:
    seen = Container(lease_id="a", reference="", state="exited", started_at=5, finished_at=4, reason="x" * 1_000)
    assert (seen.finished_at, len(seen.reason)) == (5, MAX_REASON)


def test_the_end_of_a_log_has_whole_characters() -> None:
    assert tail("one\ntwo\nthree", 2) == "two\nthree"
    assert tail("é" * MAX_LOG_BYTES + "x", 1) == "é" * ((MAX_LOG_BYTES - 1) // 2) + "x"
    assert tail("", 10) == ""
    assert tail("one\ntwo\n", -5) == "two\n"
